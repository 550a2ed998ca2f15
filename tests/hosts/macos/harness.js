// Runs a JXA script in Node: what macOS has is written down and answered from a list, what the shell does is done.
//
//     node harness.js SCRIPT '{"words": […], "answers": […], "looks": […]}'
//
// Unlike a Mac it knows only what is listed here; whatever else is called is an error.
const vm = require('vm')
const fs = require('fs')
const { spawnSync } = require('child_process')

const [, , script, text] = process.argv
const given = JSON.parse(text)
const calls = []
const answers = [...(given.answers || [])]
const looks = [...(given.looks || [])]

function note(name, ...values) {
  calls.push([name, ...values])
}

function answer(name) {
  if (!answers.length) throw new Error(`nobody answers ${name}`)
  const found = answers.shift()
  if (found === null) throw Object.assign(new Error('User canceled.'), { errorNumber: -128 })
  return found
}

function strict(name, members) {
  return new Proxy(members, {
    get: (target, key) => {
      if (key in target || typeof key === 'symbol') return target[key]
      throw new Error(`${name} has no ${String(key)}`)
    },
  })
}

const wrapped = (value) => ({ value, isNil: () => value === undefined })
const unwrap = (each) => (each && each.isNil ? each.value : each)

const standard = strict('the current application', {
  includeStandardAdditions: false,
  activate: () => note('activate', 'script'),
  pathTo: () => script,
  displayDialog: (said, options) => {
    note('dialog', said, options.buttons)
    const found = answer('a dialog')
    if (options.buttons && options.defaultAnswer === undefined && !options.buttons.includes(found)) throw new Error(`no button ${found}`)
    return { buttonReturned: found, textReturned: found }
  },
  chooseFile: () => answer('the choice of a file'),
  chooseFolder: () => answer('the choice of a folder'),
  chooseFromList: (list) => {
    note('list', list)
    const found = answer('a list')
    if (found !== false && !list.includes(found)) throw new Error(`not in the list: ${found}`)
    return found === false ? false : [found]
  },
  doShellScript: (line) => {
    note('shell', line)
    const done = spawnSync('/bin/sh', ['-c', line], { encoding: 'utf8' })
    if (done.status !== 0) throw new Error(done.stderr.trim())
    return done.stdout.trim()
  },
})

const named = (name) =>
  strict(name, {
    open: (path) => note('open', name, path),
    activate: () => note('activate', name),
    reveal: (path) => note('reveal', name, path),
  })

const context = vm.createContext({
  Application: Object.assign(named, { currentApplication: () => standard }),
  Path: (path) => {
    if (!fs.existsSync(path)) throw new Error(`there is no ${path}`)
    return path
  },
  Progress: {},
  delay: () => {
    const look = looks.shift()
    if (!look) throw new Error('nothing happens any more')
    for (const [path, content] of Object.entries(look)) fs.writeFileSync(path, content)
  },
  ObjC: strict('ObjC', {
    import: () => undefined,
    unwrap,
    deepUnwrap: unwrap,
  }),
  $: strict('$', {
    NSUTF8StringEncoding: 4,
    NSProcessInfo: { processInfo: { arguments: wrapped([wrapped('osascript'), wrapped(script)]) } },
    NSString: {
      stringWithContentsOfFileEncodingError: (path) => wrapped(fs.existsSync(path) ? fs.readFileSync(path, 'utf8') : undefined),
    },
    NSFileManager: {
      defaultManager: strict('NSFileManager', {
        fileExistsAtPath: (path) => fs.existsSync(path),
        contentsOfDirectoryAtPathError: (path) => wrapped(fs.existsSync(path) ? fs.readdirSync(path) : undefined),
      }),
    },
  }),
})

vm.runInContext(fs.readFileSync(script, 'utf8'), context, { filename: script })
const result = vm.runInContext('run', context)(given.words)
process.stdout.write(JSON.stringify({ calls, result: result === undefined ? null : result, left: answers.length }))
