-- Tells every stanza that this server receives or sends on a stream, as JSON lines.
--
--   lab_feed        "full": whole stanzas; "meta": all but what is inside
--   lab_feed_file   {"at", "direction": "in|out", "stream": "c2s|s2s", "name", "type", "id", "from", "to", "size",
--                    "encryption": namespace of the child that shows it, "body": readable, "stanza": xml or null}
--   lab_feed_encrypted   children of a stanza that show an encryption, "{namespace}name"; <encrypted/> does always
--
-- It only looks: filters return what they were given. Coming in it stands before all others (stream management counts
-- at 999); going out after all others, so that a stanza kept back for a stream that is gone is told when it is sent.
module:set_global();

local filters = require "prosody.util.filters";
local json = require "prosody.util.json";
local st = require "prosody.util.stanza";
local now = require "prosody.util.time".now;

local FIRST, LAST = 1000, -1000;
local KINDS = { message = true, presence = true, iq = true };
local NAMESPACES = { ["jabber:client"] = true, ["jabber:server"] = true };

local full = module:get_option_enum("lab_feed", "full", "meta") == "full";
local shows_encryption = module:get_option_set("lab_feed_encrypted", {});
local file = assert(io.open(module:get_option_string("lab_feed_file"), "a"));

-- Not `childtags`: without a namespace it finds children of the stanza's own namespace only.
local function encryption_of(stanza)
	for _, child in ipairs(stanza.tags) do
		local name, namespace = child.name, child.attr.xmlns;
		if namespace and (name == "encrypted" or shows_encryption:contains("{"..namespace.."}"..name)) then
			return namespace;
		end
	end
end

local function readable(stanza)
	local body = stanza.name == "message" and stanza:get_child_text("body");
	return body and body ~= "" or false;
end

local function tell(direction, stanza, session)
	if not (st.is_stanza(stanza) and KINDS[stanza.name]) then return; end
	local attr = stanza.attr;
	if attr.xmlns and not NAMESPACES[attr.xmlns] then return; end
	local kind = session.type:sub(1, 3);
	if kind ~= "c2s" and kind ~= "s2s" then return; end
	local text, encryption = tostring(stanza), encryption_of(stanza);
	file:write(json.encode({
		at = now(); direction = direction; stream = kind;
		name = stanza.name; type = attr.type or json.null; id = attr.id or json.null;
		from = attr.from or direction == "in" and session.full_jid or json.null;
		to = attr.to or direction == "out" and session.full_jid or json.null;
		size = #text; encryption = encryption or json.null; body = not encryption and readable(stanza);
		stanza = full and text or json.null;
	}), "\n");
	file:flush();
end

-- Functions of the module, not of a session: a filter that is already there is then not added again.
local function coming_in(stanza, session) tell("in", stanza, session); return stanza; end
local function going_out(stanza, session) tell("out", stanza, session); return stanza; end

local function attach(session)
	filters.add_filter(session, "stanzas/in", coming_in, FIRST);
	filters.add_filter(session, "stanzas/out", going_out, LAST);
end

function module.load() filters.add_filter_hook(attach); end

function module.unload()
	filters.remove_filter_hook(attach);
	file:close();
end
