// cmt-bridge in Bitwig Studio: its verbs as buttons in the Studio I/O panel, takes as scenes of launcher clips.
//
// The daemon is asked by files, as docs/control.md says under "Files". Nothing is created or listened to after `init`,
// since Bitwig lets a script do that only there; all that takes time goes on by scheduled tasks.

/* global loadAPI, host, Java */
loadAPI(15); // of Bitwig Studio 4.1, since which a script can read the arranger's loop

host.defineController("cmt-bridge", "cmt-bridge", "1.0", "7a1c9d4e-52f3-4f0b-9c85-3b1f0c6f2b90", "cmt-bridge");
host.defineMidiPorts(0, 0);

var WHERE = /*@where*/ { state: "" };

var File = Java.type("java.io.File");
var Files = Java.type("java.nio.file.Files");
var JString = Java.type("java.lang.String");
var PrintWriter = Java.type("java.io.PrintWriter");

var TRACKS = 32, SCENES = 32; // of the project, that we look at
var EVERY = 200; // ms, between two looks
var SILENCE = 3000; // ms, after which nobody answers
var PATIENCE = 20000; // ms, for a daemon that answered before
var NOTHING = "nothing";
var STAGES = { measure: "Measuring the picture", compose: "Composing", deliver: "Writing" };

var transport, application, bank, film, first, only, follow, tempo, rows;
var busy = false;

function init() {
  transport = host.createTransport();
  application = host.createApplication();
  bank = host.createMainTrackBank(TRACKS, 0, SCENES);
  transport.isPlaying().markInterested();
  transport.arrangerLoopStart().markInterested();
  transport.arrangerLoopDuration().markInterested();
  for (var index = 0; index < TRACKS; index++) {
    var track = bank.getItemAt(index);
    track.exists().markInterested();
    track.name().markInterested();
    for (var row = 0; row < SCENES; row++) {
      track.clipLauncherSlotBank().getItemAt(row).hasContent().markInterested();
    }
  }

  var panel = host.getDocumentState();
  film = panel.getStringSetting("Video", "Film", 1000, "");
  first = panel.getNumberSetting("Begins at bar", "Film", 1, 9999, 1, "", 1);
  tempo = panel.getEnumSetting("Take over the tempo", "Film", ["yes", "no"], "yes");
  only = panel.getStringSetting("Tracks to regenerate", "Film", 100, "");
  follow = panel.getEnumSetting("Stream follows", "Film", [NOTHING, "clock", "mtc", "link"], "clock");
  rows = panel.getStringSetting("Scenes of takes", "Film", 1000, "{}");
  rows.hide();
  [film, first, tempo, only, follow, rows].forEach(function (setting) { setting.markInterested(); });
  button(panel, "Film", "Score", score);
  button(panel, "Current take", "Insert", insert);
  button(panel, "Bars of the loop", "Regenerate", regenerate);
  button(panel, "Take before", "Choose", function (daemon) { step(daemon, -1); });
  button(panel, "Take after", "Choose", function (daemon) { step(daemon, 1); });
  button(panel, "This take", "Accept", accept);
  button(panel, "Stream", "On or off", stream);
}

function exit() {}

// A button, behind which one thing at a time is done.
function button(panel, label, action, verb) {
  panel.getSignalSetting(label, "cmt-bridge", action).addSignalObserver(function () {
    if (busy) {
      tell("It is still at the last one.");
      return;
    }
    busy = true;
    guarded(function () {
      if (path() === "") {
        refuse("Enter the path of the video in the Studio I/O panel first.");
      }
      find(path(), verb);
    });
  });
}

function tell(text) {
  host.showPopupNotification("cmt-bridge: " + text);
}

function end(text) {
  busy = false;
  tell(text);
}

function Refused(text) {
  this.text = text;
}

function refuse(text) {
  throw new Refused(text);
}

// Do something, and say in a sentence why it cannot be done.
function guarded(what) {
  try {
    what();
  } catch (fault) {
    end(fault instanceof Refused ? fault.text : "Something unforeseen went wrong: " + fault);
  }
}

function later(what, wait) {
  host.scheduleTask(function () { guarded(what); }, wait);
}

// Files

function read(name) {
  var file = new File(name);
  return file.exists() ? "" + new JString(Files.readAllBytes(file.toPath()), "UTF-8") : null;
}

// Write a file that is there whole or not at all.
function write(name, text) {
  var part = new File(name + ".part");
  var writer = new PrintWriter(part, "UTF-8");
  writer.write(text);
  writer.close();
  if (writer.checkError() || !part.renameTo(new File(name))) {
    part["delete"]();
    return false;
  }
  return true;
}

function remove(name) {
  new File(name)["delete"]();
}

function path() {
  return ("" + film.get()).replace(/^\s*["']?|["']?\s*$/g, "");
}

// The daemon

function plain(name) {
  var there = name.replace(/\\/g, "/").replace(/\/+$/, "");
  return "" + File.separator === "\\" ? there.toLowerCase() : there;
}

// The state folders of daemons that watch a file, or were killed as they did; the nearest first.
function daemons(name) {
  var listed = new File(WHERE.state).list();
  var found = [];
  for (var index = 0; listed !== null && index < listed.length; index++) {
    var state = WHERE.state + "/" + listed[index];
    var said = null;
    try {
      said = JSON.parse(read(state + "/instance.json"));
    } catch (fault) {
      continue; // it is being written
    }
    if (said && plain(name).indexOf(plain("" + said.folder) + "/") === 0) {
      found.push({ state: state, folder: "" + said.folder });
    }
  }
  found.sort(function (one, other) { return other.folder.length - one.folder.length; });
  return found;
}

function fresh() {
  return "bitwig-" + Date.now().toString(36) + "-" + Math.random().toString(36).substring(2);
}

// Ask; `then` is given the answer, null where nobody says anything in time.
function put(daemon, what, fields, patience, then) {
  var id = fresh();
  var request = daemon.state + "/spool/requests/" + id + ".json";
  var answer = daemon.state + "/spool/answers/" + id + ".json";
  var text = JSON.stringify({ "do": what, "with": fields });
  if (!new File(daemon.state + "/spool/requests").exists() || !write(request, text)) {
    then(null);
    return;
  }
  var waited = 0;
  function look() {
    var said = read(answer);
    waited += EVERY;
    if (said !== null) {
      remove(answer);
      then(JSON.parse(said));
    } else if (waited > patience) {
      remove(request);
      then(null);
    } else {
      later(look, EVERY);
    }
  }
  later(look, EVERY);
}

// Find the daemon that lives and watches a file.
function find(name, then) {
  var all = daemons(name);
  function next() {
    var daemon = all.shift();
    if (!daemon) {
      refuse("No cmt-bridge watches the folder of this video. In a terminal: cmt-bridge daemon start FOLDER");
    }
    put(daemon, "status", {}, SILENCE, function (said) {
      if (said === null) {
        next();
      } else {
        then(daemon);
      }
    });
  }
  next();
}

// Ask for something; `then` is given its answer. What is refused is said.
function must(daemon, what, fields, then) {
  put(daemon, what, fields, PATIENCE, function (said) {
    if (said === null) {
      refuse("cmt-bridge does not answer any more. In a terminal: cmt-bridge daemon logs");
    }
    if (!said.ok) {
      refuse(said.error + (said.hint ? " " + said.hint : ""));
    }
    then(said.answer);
  });
}

// Go along with a job to its end, and say how far it is.
function along(daemon, job, then) {
  if (job.state === "waiting" || job.state === "running") {
    var share = job.share > 0 ? " " + Math.floor(job.share * 100) + " %" : "";
    tell((STAGES[job.stage] || "Waiting for others") + share);
    later(function () {
      must(daemon, "job", { id: job.id }, function (now) { along(daemon, now, then); });
    }, 2 * EVERY);
  } else if (job.state === "done") {
    then();
  } else {
    refuse(job.reason || "It was cancelled.");
  }
}

// Verbs

function score(daemon) {
  must(daemon, "score", { path: path() }, function (job) {
    along(daemon, job, function () { insert(daemon); });
  });
}

function regenerate(daemon) {
  must(daemon, "arrangement", { path: path() }, function (music) {
    // Bars of the score, which begin where the film does; Bitwig counts quarters.
    var metre = music.metres[0];
    var bar = 4 * metre[1] / metre[2];
    var zero = (first.getRaw() - 1) * bar;
    var from = transport.arrangerLoopStart().get() - zero;
    var to = from + transport.arrangerLoopDuration().get();
    var last = Math.min(Math.ceil(to / bar - 1e-6), Math.ceil(music.length / music.division / bar - 1e-6));
    var begin = Math.max(1, Math.floor(from / bar + 1e-6) + 1);
    if (music.metres.length > 1) {
      refuse("This score changes its metre. Regenerate it in a terminal, by bars or seconds.");
    }
    if (last < begin) {
      refuse("The loop lies outside of this film's music. Set it to the bars that shall be composed anew.");
    }
    var asked = { path: path(), bars: begin + "-" + last };
    var tracks = ("" + only.get()).toLowerCase().split(/[\s,]+/).filter(function (name) { return name !== ""; });
    if (tracks.length > 0) {
      asked.tracks = tracks;
    }
    must(daemon, "regenerate", asked, function (job) {
      along(daemon, job, function () { insert(daemon); });
    });
  });
}

function step(daemon, by) {
  must(daemon, "takes", { path: path() }, function (said) {
    var numbers = said.takes.filter(function (take) {
      return take.mark !== "rejected" || take.take === said.current;
    }).map(function (take) { return take.take; });
    var number = numbers[numbers.indexOf(said.current) + by];
    if (number === undefined) {
      refuse(by > 0 ? "This is the last take. Regenerate to have another." : "This is the first take.");
    }
    must(daemon, "choose", { path: path(), take: number }, function () { insert(daemon); });
  });
}

function accept(daemon) {
  must(daemon, "takes", { path: path() }, function (said) {
    must(daemon, "accept", { path: path(), take: said.current }, function () {
      end("Take " + said.current + " is accepted.");
    });
  });
}

function stream(daemon) {
  must(daemon, "stream_status", {}, function (said) {
    if (said.playing) {
      must(daemon, "stream_stop", {}, function () { end("The stream has ended."); });
      return;
    }
    var asked = { path: path() };
    if ("" + follow.get() !== NOTHING) {
      asked.follow = "" + follow.get();
    }
    must(daemon, "stream", asked, function () {
      plays(daemon, asked.follow ? "It plays as soon as Bitwig does." : "It plays.", 0);
    });
  });
}

// Say that a stream plays, once its ports are there; or why it does not.
function plays(daemon, text, waited) {
  must(daemon, "stream_status", {}, function (said) {
    if (!said.playing) {
      refuse(said.error ? said.error.error + " " + said.error.hint : "The stream has ended.");
    }
    if (said.position !== null || waited > PATIENCE) {
      end(text);
    } else {
      later(function () { plays(daemon, text, waited + EVERY); }, EVERY);
    }
  });
}

// Clips

// Put the current take into a scene, a clip on the track of each part; one that is there already is left as it is.
function insert(daemon) {
  must(daemon, "arrangement", { path: path() }, function (music) {
    if (music.tempos.length === 1 && "" + tempo.get() === "yes") {
      transport.tempo().value().setRaw(60e6 / music.tempos[0][1]);
    }
    must(daemon, "export", { path: path(), project: "parts", take: music.take }, function (made) {
      var names = music.parts.map(function (part) { return part.name; });
      var placed = [];
      function next() {
        var index = placed.length;
        if (index < names.length) {
          track(names[index], function (found) {
            placed.push(found);
            next();
          });
        } else {
          lay(music, made.files, placed);
        }
      }
      next();
    });
  });
}

// Give the track of a name, made at the end where there is none.
function track(name, then) {
  var found = null, count = 0;
  for (var index = 0; index < TRACKS; index++) {
    var each = bank.getItemAt(index);
    if (each.exists().get()) {
      count = index + 1;
      found = found || ("" + each.name().get() === name ? each : null);
    }
  }
  if (found) {
    then(found);
    return;
  }
  if (count === TRACKS) {
    refuse("There is no room: only the first " + TRACKS + " tracks are looked at.");
  }
  application.createInstrumentTrack(-1);
  var waited = 0;
  function look() {
    var made = bank.getItemAt(count);
    waited += EVERY;
    if (made.exists().get()) {
      made.name().set(name);
      then(made);
    } else if (waited > PATIENCE) {
      refuse("Bitwig makes no track.");
    } else {
      later(look, EVERY);
    }
  }
  later(look, EVERY);
}

function is_full(placed, row) {
  return placed.some(function (each) { return each.clipLauncherSlotBank().getItemAt(row).hasContent().get(); });
}

function lay(music, files, placed) {
  var known = {};
  try {
    known = JSON.parse("" + rows.get()) || {};
  } catch (fault) {
    known = {};
  }
  var key = music.title + " " + music.take;
  var row = known[key];
  var is_there = typeof row === "number" && is_full(placed, row);
  if (!is_there) {
    row = 0;
    while (row < SCENES && is_full(placed, row)) {
      row++;
    }
    if (row === SCENES) {
      refuse("There is no room: the first " + SCENES + " scenes have clips on these tracks.");
    }
    placed.forEach(function (each, index) {
      each.clipLauncherSlotBank().getItemAt(row).replaceInsertionPoint().insertFile("" + files[index].path);
    });
    known[key] = row;
    rows.set(JSON.stringify(known));
  }
  if (transport.isPlaying().get()) {
    placed.forEach(function (each) { each.clipLauncherSlotBank().launch(row); });
  }
  var note = music.tempos.length > 1 ? " Its tempo changes, which clips cannot: see the DAWproject." : "";
  end("Take " + music.take + " is in scene " + (row + 1) + "." + note);
}
