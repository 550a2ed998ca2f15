"""Write the files that are made from the table of settings anew: the control API's document, the hosts' table."""

from __future__ import annotations

import json
from pathlib import Path

from cmt_bridge.service.requests import with_settings
from cmt_bridge.settings.tables import lua_table

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "cmt_bridge" / "service" / "openapi.json"
LUA = ROOT / "host_scripts" / "common" / "settings_table.lua"

document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
DOCUMENT.write_text(json.dumps(with_settings(document), indent=2) + "\n", encoding="utf-8")
LUA.write_text(lua_table(), encoding="utf-8")
