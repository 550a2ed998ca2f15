// A Bitwig Studio that is made up: a project with tracks and launcher slots, settings, a transport, and its Java.
//
//     node harness.js SCRIPT GIVEN
//
// GIVEN is JSON: {tracks, settings, loop, playing, press: [label, …]}. A button is pressed when all that the one before
// had begun is over. What the project is then, what was shown and what was called is printed as JSON. As in the
// program, things are created and buttons heard only in init, no value is read that nobody said to be interested in, and
// nothing can be called that came in after the version of the API that the script loads (api.json says when it did).

"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const given = JSON.parse(process.argv[3]);
const tracks = given.tracks.map((name) => made(name));
const settings = {}, signals = {}, shown = [], called = [];
const since = JSON.parse(fs.readFileSync(path.join(__dirname, "api.json"), "utf8")).since;
const used = {};
let initialised = false, tempo = 110, pending = 0, loaded = 0;

function made(name) {
  return { name, slots: {} };
}

function fail(text) {
  process.stderr.write(text + "\n");
  process.exit(1);
}

// An object that has what is listed and nothing else, each with its number of arguments; `kind` names the interfaces of
// the API whose functions these are, with spaces.
function only(kind, members) {
  const interfaces = kind.split(" ");
  return new Proxy(members, {
    get(target, name) {
      if (typeof name === "symbol" || name === "then") return undefined;
      if (!(name in target)) fail(`${kind} has no ${name}`);
      const key = interfaces.map((each) => `${each}.${name}`).find((each) => each in since);
      if (key === undefined) fail(`nobody knows since when there is ${kind}.${name}`);
      if (since[key] > loaded) fail(`${key} came in with API ${since[key]}, and the script loads ${loaded}`);
      used[key] = since[key];
      const call = target[name];
      return (...words) => {
        if (words.length !== call.length) fail(`${kind}.${name} takes ${call.length} arguments, not ${words.length}`);
        return call(...words);
      };
    },
  });
}

function inInit(what) {
  if (initialised) fail(`${what} after init`);
}

function value(label, kind, get, more = {}) {
  let interested = false;
  const read = { get() { if (!interested) fail(`${label} is read, and nobody was interested`); return get(); } };
  if (kind.includes("RangedValue")) read.getRaw = read.get;
  return only(`Value ${kind}`, {
    markInterested() { inInit(`${label}.markInterested`); interested = true; },
    ...read,
    ...more,
  });
}

function setting(label, kind, first) {
  if (label in settings) fail(`two settings are called ${label}`);
  settings[label] = label in given.settings ? given.settings[label] : first;
  const set = kind.includes("Settable") ? { set(text) { settings[label] = text; } } : {};
  return value(label, `${kind} Setting`, () => settings[label], { ...set, hide() {} });
}

const bankOf = {};

function slotsOf(index) {
  const slots = {};
  return only("Bank ClipLauncherSlotOrSceneBank ClipLauncherSlotBank", {
    getItemAt(row) {
      if (!slots[row]) {
        const held = value("hasContent", "BooleanValue", () => index < tracks.length && row in tracks[index].slots);
        const point = only("InsertionPoint", {
          insertFile(name) {
            if (!fs.statSync(name).isFile()) fail(`there is no ${name}`);
            tracks[index].slots[row] = name;
          },
        });
        slots[row] = only("ClipLauncherSlotOrScene ClipLauncherSlot", { hasContent: () => held, replaceInsertionPoint: () => point });
      }
      return slots[row];
    },
    launch(row) { called.push(["launch", tracks[index].name, row]); },
  });
}

function trackOf(index) {
  const exists = value("exists", "BooleanValue", () => index < tracks.length);
  const name = value("name", "StringValue SettableStringValue", () => (index < tracks.length ? tracks[index].name : ""), {
    set(text) { tracks[index].name = text; },
  });
  const bank = slotsOf(index);
  return only("ObjectProxy DeviceChain Channel Track", { exists: () => exists, name: () => name, clipLauncherSlotBank: () => bank });
}

function created(what, result) {
  inInit(what);
  return result;
}

const transport = only("Transport", {
  isPlaying: (() => { const it = value("isPlaying", "BooleanValue", () => given.playing); return () => it; })(),
  arrangerLoopStart: (() => { const it = value("arrangerLoopStart", "DoubleValue", () => given.loop[0]); return () => it; })(),
  arrangerLoopDuration: (() => { const it = value("arrangerLoopDuration", "DoubleValue", () => given.loop[1]); return () => it; })(),
  tempo: () => only("Parameter", { value: () => only("SettableRangedValue", { setRaw(bpm) { tempo = bpm; } }) }),
});

const host = only("ControllerHost", {
  defineController(vendor, name, version, uuid, author) {
    if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(uuid)) fail(`${uuid} is no UUID`);
  },
  defineMidiPorts(ins, outs) {},
  createTransport: () => created("createTransport", transport),
  createApplication: () => created("createApplication", only("Application", {
    createInstrumentTrack(position) {
      if (position !== -1) fail("a track in the midst of the person's");
      pending += 1;
      setTimeout(() => { pending -= 1; tracks.push(made("Inst")); }, 50); // Bitwig does it a while later
    },
  })),
  createMainTrackBank: (count, sends, scenes) => created("createMainTrackBank", only("Bank TrackBank", {
    getItemAt(index) {
      if (index < 0 || index >= count) fail(`the bank has no track ${index}`);
      return (bankOf[index] = bankOf[index] || trackOf(index));
    },
  })),
  getDocumentState: () => created("getDocumentState", only("Settings DocumentState", {
    getStringSetting: (label, category, length, first) => created(label, setting(label, "StringValue SettableStringValue", first)),
    getNumberSetting: (label, category, least, most, step, unit, first) => created(label, setting(label, "RangedValue SettableRangedValue", first)),
    getEnumSetting(label, category, options, first) {
      if (!options.includes(first)) fail(`${first} is none of the options`);
      return created(label, setting(label, "EnumValue", first));
    },
    getSignalSetting(label, category, action) {
      inInit(label);
      if (label in signals) fail(`two buttons are called ${label}`);
      return only("Signal", { addSignalObserver(heard) { inInit(label); signals[label] = heard; } });
    },
  })),
  showPopupNotification(text) { shown.push(text); },
  scheduleTask(what, wait) {
    pending += 1;
    setTimeout(() => { pending -= 1; what(); }, wait);
  },
});

class JFile {
  constructor(name) { this.name = name; }
  exists() { return fs.existsSync(this.name); }
  list() { try { return fs.readdirSync(this.name); } catch (fault) { return null; } }
  toPath() { return this.name; }
  renameTo(other) { try { fs.renameSync(this.name, other.name); return true; } catch (fault) { return false; } }
  delete() { try { fs.unlinkSync(this.name); return true; } catch (fault) { return false; } }
}
JFile.separator = path.sep;

const JAVA = {
  "java.io.File": JFile,
  "java.nio.file.Files": { readAllBytes: (name) => fs.readFileSync(name) },
  "java.lang.String": class extends String { constructor(bytes, charset) { super(bytes.toString("utf8")); } },
  "java.io.PrintWriter": class {
    constructor(file, charset) { this.name = file.name; this.text = ""; this.failed = false; }
    write(text) { this.text += text; }
    close() { try { fs.writeFileSync(this.name, this.text, "utf8"); } catch (fault) { this.failed = true; } }
    checkError() { return this.failed; }
  },
};

const world = {
  loadAPI(version) { loaded = version; },
  host,
  Java: { type: (name) => JAVA[name] || fail(`there is no ${name}`) },
};
vm.createContext(world);
vm.runInContext(fs.readFileSync(process.argv[2], "utf8"), world, { filename: process.argv[2] });
world.init();
initialised = true;

const press = [...given.press];
function go() {
  if (pending > 0) {
    setTimeout(go, 20);
  } else if (press.length > 0) {
    const label = press.shift();
    for (const each of Array.isArray(label) ? label : [label]) signals[each](); // several: without waiting
    setTimeout(go, 20);
  } else {
    process.stdout.write(JSON.stringify({ tracks, settings, shown, called, tempo, labels: Object.keys(signals), loaded, used }));
  }
}
go();
