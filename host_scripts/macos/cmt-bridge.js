// cmt-bridge for GarageBand and Logic: score a video, open what came of it, take what the watched folder brings.
//
//     osascript -l JavaScript cmt-bridge.js            a menu
//     osascript -l JavaScript cmt-bridge.js VERB …     score | open | regenerate | next | previous | undo | accept | watch | stream
//
// `cmt-bridge hosts install garageband` (or logic) puts it into the script menu. Neither program lets a script read or
// write its project: what it cannot do is said step by step. See `cmt-bridge hosts show garageband` and `… logic`.

ObjC.import('Foundation')

const WHERE = 'where.json' // written beside this file when it is installed: {"program": …, "host": …}
const PLACES = { garageband: 'GarageBand', logic: 'Logic Pro' }
const LOOK_EVERY = 2 // s

const app = Application.currentApplication()
app.includeStandardAdditions = true

// What this Mac has

function folderOfScript() {
  const argument = ObjC.unwrap($.NSProcessInfo.processInfo.arguments).map(ObjC.unwrap).find((each) => /\.(js|scpt)$/.test(each))
  if (argument) return argument.replace(/\/[^/]*$/, '') || '.'
  return app.pathTo(null).toString().replace(/\/[^/]*$/, '')
}

function read(path) {
  const text = $.NSString.stringWithContentsOfFileEncodingError(path, $.NSUTF8StringEncoding, null)
  return text.isNil() ? '' : ObjC.unwrap(text)
}

function exists(path) {
  return $.NSFileManager.defaultManager.fileExistsAtPath(path)
}

function listed(folder) {
  const names = $.NSFileManager.defaultManager.contentsOfDirectoryAtPathError(folder, null)
  return names.isNil() ? [] : ObjC.deepUnwrap(names)
}

function settings() {
  const text = read(folderOfScript() + '/' + WHERE)
  return text ? JSON.parse(text) : { program: 'cmt-bridge', host: 'garageband' }
}

// Words for a shell: within single quotes nothing has a meaning but the quote itself.
function quoted(word) {
  return "'" + String(word).replace(/'/g, "'\\''") + "'"
}

class Refused extends Error {}

// Run cmt-bridge and give what it prints. It says in one sentence what is wrong, and that is what the person sees.
function bridge(words) {
  const line = [settings().program, ...words].map(quoted).join(' ')
  try {
    return app.doShellScript(line)
  } catch (error) {
    throw new Refused(String(error.message || error).replace(/^cmt-bridge: /m, ''))
  }
}

// What is shown

function tell(text, buttons = ['OK'], title = 'cmt-bridge') {
  const answer = app.displayDialog(text, { buttons, defaultButton: buttons[buttons.length - 1], withTitle: title })
  return answer.buttonReturned
}

function ask(text, usual) {
  const buttons = ['Cancel', 'OK']
  return app.displayDialog(text, { defaultAnswer: usual, buttons, defaultButton: 'OK', withTitle: 'cmt-bridge' }).textReturned
}

function chooseVideo() {
  return app.chooseFile({ withPrompt: 'The video', ofType: ['public.movie'] }).toString()
}

// The score in the host

// MIDI files in a folder that a host would take, the newest take last: `NAME.mid`, `NAME take 2.mid`, with the BPM in
// the name for GarageBand.
function takesIn(folder, title, host) {
  const form = host === 'garageband' ? / (\d+(?:\.\d+)?) BPM(?: take (\d+))?\.mid$/ : /(?: take (\d+))?\.mid$/
  return listed(folder)
    .filter((name) => name.startsWith(title) && form.test(name) && (host === 'garageband' || !/ BPM/.test(name)))
    .map((name) => ({ name, path: folder + '/' + name, take: Number(form.exec(name).pop() || 1) }))
    .sort((a, b) => a.take - b.take || a.name.localeCompare(b.name))
}

function bpmOf(name) {
  const found = / (\d+(?:\.\d+)?) BPM/.exec(name)
  return found ? found[1] : ''
}

// What the person has to do by hand, and why.
function steps(host, path) {
  const name = path.replace(/.*\//, '')
  if (host === 'logic') {
    return `${name} is opened as a project of its own: File › Open keeps its tempo and markers, dragging it in may not.\n\n` +
      'To have the picture: File › Movie › Open Movie…'
  }
  return `1. Set the tempo to ${bpmOf(name)}: double-click the number in the display at the top, type it, press Return. ` +
    'GarageBand lets no script do that.\n' +
    '2. Drag the file from the Finder to the beginning of the empty space below the tracks. ' +
    'GarageBand lets no script add tracks.\n' +
    '3. The video: Track › Show Movie Track, then Open Movie…'
}

function show(path) {
  Application('Finder').reveal(Path(path))
}

function open(path, host = settings().host) {
  if (host === 'logic') {
    Application(PLACES.logic).open(Path(path))
    return tell(steps(host, path))
  }
  Application(PLACES.garageband).activate()
  show(path)
  return tell(steps(host, path))
}

// Verbs

function parts(video) {
  const folder = video.replace(/\/[^/]*$/, '') || '/'
  const title = video.replace(/.*\//, '').replace(/\.[^.]*$/, '')
  return { folder, title }
}

function exported(video, host = settings().host) {
  const said = JSON.parse(bridge(['export', video, '--project', host, '--json']))
  return said.files[0].path
}

function score(video = chooseVideo()) {
  Progress.description = 'Measuring and composing …'
  bridge(['score', video])
  return open(exported(video))
}

function regenerate(video = chooseVideo(), bars = ask('Which bars? As GarageBand and Logic count them, such as 4-8.', '1-4')) {
  Progress.description = `Composing bars ${bars} …`
  bridge(['regenerate', video, '--bars', bars])
  return open(exported(video))
}

// Go to the take after the current one, or before it.
function chosen(video, by) {
  const { takes, current } = JSON.parse(bridge(['takes', video, '--json']))
  const numbers = takes.filter((each) => each.mark !== 'rejected' || each.take === current).map((each) => each.take)
  const number = numbers[numbers.indexOf(current) + by]
  if (number === undefined) throw new Refused(by > 0 ? 'This is the last take.' : 'This is the first take.')
  bridge(['choose', video, String(number)])
  return open(exported(video))
}

const next = (video = chooseVideo()) => chosen(video, 1)
const previous = (video = chooseVideo()) => chosen(video, -1)

function undo(video = chooseVideo()) {
  bridge(['undo', video])
  return open(exported(video))
}

function accept(video = chooseVideo()) {
  bridge(['accept', video])
  return tell('The take is accepted.')
}

// Begin or end playing into the host; a daemon has to watch the folder of the video, so that this can return.
function stream(video = chooseVideo()) {
  const { folder } = parts(video)
  const status = JSON.parse(bridge(['daemon', 'status', '--json']))
  const watched = (status.daemons || []).find((each) => (folder + '/').startsWith(each.folder + '/'))
  if (!watched) {
    if (tell(`No daemon watches ${folder}. It plays the music, so it must run.`, ['Cancel', 'Start it']) !== 'Start it') return ''
    bridge(['daemon', 'start', folder])
  } else if (watched.stream) {
    return bridge(['stream', video, '--stop'])
  }
  // The command only shows what the daemon plays, so it may go on by itself.
  app.doShellScript([settings().program, 'stream', video].map(quoted).join(' ') + ' >/dev/null 2>&1 &')
  return tell('The music comes at the MIDI port cmt-bridge:music. Choose the tracks that shall sound and arm them; run this again to end it.')
}

// What came into a folder since the last look: files that are no longer written to.
class Drop {
  constructor(folder, host) {
    Object.assign(this, { folder, host, known: new Set(this.names(folder, host)) })
  }

  names(folder = this.folder, host = this.host) {
    return listed(folder).filter((name) => (host === 'garageband' ? / BPM.*\.mid$/ : /\.mid$/).test(name) && !name.startsWith('.'))
  }

  look() {
    const fresh = this.names().filter((name) => !this.known.has(name))
    fresh.forEach((name) => this.known.add(name))
    return fresh.sort()
  }
}

// Stay and offer each new take, until the person has enough.
function watch(folder = app.chooseFolder({ withPrompt: 'The folder where scores come' }).toString()) {
  const host = settings().host
  const drop = new Drop(folder, host)
  for (;;) {
    delay(LOOK_EVERY)
    for (const name of drop.look()) {
      const answer = tell(`${name} is there.`, ['Stop watching', 'Later', 'Open'])
      if (answer === 'Stop watching') return 'stopped'
      if (answer === 'Open') open(folder + '/' + name, host)
    }
  }
}

const VERBS = { score, open, regenerate, next, previous, undo, accept, watch, stream }
const MENU = {
  'Score a video': 'score',
  'Compose bars anew': 'regenerate',
  'Next take': 'next',
  'Previous take': 'previous',
  'Take back the last choice': 'undo',
  'Accept the take': 'accept',
  'Offer new takes of a folder': 'watch',
  'Play live, or end it': 'stream',
}

function main(words) {
  const [verb, ...rest] = words
  if (verb) {
    if (!VERBS[verb]) throw new Refused(`There is no ${verb}: choose from ${Object.keys(VERBS).join(', ')}.`)
    return VERBS[verb](...rest)
  }
  const chosen = app.chooseFromList(Object.keys(MENU), { withPrompt: 'What shall be done?', withTitle: 'cmt-bridge' })
  return chosen ? VERBS[MENU[chosen[0]]]() : ''
}

// eslint-disable-next-line no-unused-vars -- osascript calls it
function run(words) {
  app.activate()
  try {
    return main(words || [])
  } catch (error) {
    if (error.errorNumber === -128) return '' // the person chose Cancel
    tell(error instanceof Refused ? error.message : `Something unforeseen went wrong: ${error.message || error}`)
    return ''
  }
}
