-- Tells every stanza that this server receives or sends on a stream, as JSON lines; and of each stream that it was
-- opened and closed, and warnings and errors of its log.
--
--   lab_feed        "full": whole stanzas; "meta": all but what is inside
--   lab_feed_file   {"at", "direction": "in|out", "stream": "c2s|s2s", "name", "type", "id", "from", "to", "size",
--                    "encryption": namespace of the child that shows it, "body": readable, "stanza": xml or null,
--                    "peer": the domain or full JID authenticated at the stream's other end}
--                   {"at", "event": "stream-opened|stream-closed", "stream", "direction", "peer", "id", "tls",
--                    "authentication"}, when opened also {"address": the IP address that an incoming one came from},
--                    when closed also {"condition", "by": "server|peer|", "text"}
--                   {"at", "event": "logged", "level": "warning|error", "text"}
--                   {"at", "event": "started"}, the first of each start
--   lab_feed_encrypted   children of a stanza that show an encryption, "{namespace}name"
--   lab_feed_encrypted_bodies   how bodies begin that are encrypted, each behind "namespace "
--
-- It only looks: filters return what they were given. Coming in it stands before all others (stream management counts
-- at 999); going out after all others, so that a stanza kept back for a stream that is gone is told when it is sent.
module:set_global();

local filters = require "util.filters";
local json = require "util.json";
local st = require "util.stanza";
local logger = require "util.logger";
local now = require "util.time".now;

local FIRST, LAST = 1000, -1000;
local LONGEST = 1000; -- bytes of a line of the log
local KINDS = { message = true, presence = true, iq = true };
local NAMESPACES = { ["jabber:client"] = true, ["jabber:server"] = true };

local full = module:get_option_string("lab_feed", "full") == "full";
local shows_encryption = module:get_option_set("lab_feed_encrypted", {});
local encrypted_bodies = {};
for _, text in ipairs(module:get_option_array("lab_feed_encrypted_bodies", {})) do
	local namespace, begins = text:match("^(%S+) (.+)$");
	encrypted_bodies[begins] = namespace;
end
local file = assert(io.open(module:get_option_string("lab_feed_file"), "a"));

-- Not `childtags`: without a namespace it finds children of the stanza's own namespace only.
local function encryption_of(stanza)
	for _, child in ipairs(stanza.tags) do
		local name, namespace = child.name, child.attr.xmlns;
		if namespace and shows_encryption:contains("{"..namespace.."}"..name) then
			return namespace;
		end
	end
	local body = stanza.name == "message" and stanza:get_child_text("body");
	if not body then return; end
	for begins, namespace in pairs(encrypted_bodies) do
		if body:sub(1, #begins) == begins then return namespace; end
	end
end

local function readable(stanza)
	local body = stanza.name == "message" and stanza:get_child_text("body");
	return body and body ~= "" or false;
end

local function remote_domain(session)
	return session.direction == "outgoing" and session.to_host or session.from_host;
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
		peer = (kind == "c2s" and session.full_jid or kind == "s2s" and remote_domain(session)) or json.null;
	}), "\n");
	file:flush();
end

local function write(line)
	line.at = now();
	file:write(json.encode(line), "\n");
	file:flush();
end

-- Streams, by session: what is known of one that is open, or has an error, until it is closed.
local streams = setmetatable({}, { __mode = "k" });
local CONDITIONS = {};
for condition in ([[bad-format bad-namespace-prefix conflict connection-timeout host-gone host-unknown
	improper-addressing internal-server-error invalid-from invalid-namespace invalid-xml not-authorized not-well-formed
	policy-violation remote-connection-failed reset resource-constraint restricted-xml see-other-host system-shutdown
	undefined-condition unsupported-encoding unsupported-feature unsupported-stanza-type unsupported-version
	]]):gmatch("%S+") do CONDITIONS[condition] = true; end

local function known(session)
	local stream = streams[session];
	if not stream then
		stream = { authentication = "" };
		streams[session] = stream;
	end
	return stream;
end

local function tls_version(session)
	local ok, info = pcall(function () return session.secure and session.conn:ssl_info(); end);
	return ok and info and info.protocol or session.secure and "TLS" or "";
end

local function describe(session, stream)
	stream.stream = (session.type or "c2s"):sub(1, 3);
	local outgoing = session.direction == "outgoing";
	stream.direction = outgoing and "out" or "in";
	if stream.stream == "c2s" then
		stream.peer = session.full_jid or stream.peer or session.username and session.username.."@"..session.host or "";
	else
		stream.peer = (outgoing and session.to_host or not outgoing and session.from_host) or "";
	end
	stream.id = session.streamid or stream.id or "";
	local tls = tls_version(session);
	stream.tls = tls ~= "" and tls or stream.tls or "";
end

local function opened(session, authentication)
	local stream = known(session);
	describe(session, stream);
	stream.authentication = authentication;
	write {
		event = "stream-opened"; stream = stream.stream; direction = stream.direction; peer = stream.peer;
		id = stream.id; tls = stream.tls; authentication = authentication;
		address = stream.direction == "in" and session.ip or "";
	};
end

local function text_of(reason)
	if type(reason) == "table" then return reason.text or reason.condition or tostring(reason); end
	return reason and tostring(reason) or "";
end

-- An error that this server sent is known by now; one that it received is said by the reason: "condition (text)".
local function closed(session, reason)
	local stream = known(session);
	streams[session] = nil;
	local text = text_of(reason);
	if not stream.condition then
		local condition, rest = text:match("^([%l-]+)(.*)$");
		if CONDITIONS[condition] and (rest == "" or rest:sub(1, 2) == " (") then
			stream.condition, stream.by, text = condition, "peer", rest:match("^ %((.*)%)$") or "";
		end
	else
		text = stream.text or "";
	end
	write {
		event = "stream-closed"; stream = stream.stream or "c2s"; direction = stream.direction or "in";
		peer = stream.peer or ""; id = stream.id or ""; tls = stream.tls or ""; authentication = stream.authentication;
		condition = stream.condition or ""; by = stream.by or ""; text = text;
	};
end

-- A stream error that this server sends.
local function failing(session, condition, text)
	local stream = known(session);
	describe(session, stream);
	stream.condition, stream.by, stream.text = condition, "server", text;
end

local function failing_with(session, stanza)
	local condition, text;
	for _, child in ipairs(stanza.tags) do
		if child.name == "text" then text = child:get_text(); else condition = condition or child.name; end
	end
	failing(session, condition or "undefined-condition", text);
end

-- Functions of the module, not of a session: a filter that is already there is then not added again.
local function coming_in(stanza, session) tell("in", stanza, session); return stanza; end
local function going_out(stanza, session)
	if stanza.name == "stream:error" then failing_with(session, stanza); end
	tell("out", stanza, session);
	return stanza;
end

local function attach(session)
	filters.add_filter(session, "stanzas/in", coming_in, FIRST);
	filters.add_filter(session, "stanzas/out", going_out, LAST);
end

local function on_s2s_established(event)
	local session = event.session;
	opened(session, session.external_auth == "succeeded" and "EXTERNAL" or "dialback");
end

local function on_s2s_destroyed(event)
	local session = event.session;
	describe(session, known(session));
	closed(session, event.reason);
end

-- A client's stream ends with its connection; its session may stay for a resumption (XEP-0198), or is emptied before.
local function on_c2s_closed(event)
	local session = event.session;
	if session and streams[session] then closed(session, streams[session].reason); end
end

local function on_c2s_resumed(event) opened(event.session, known(event.from_session).mechanism or ""); end

local sink;

function module.load()
	write { event = "started" };
	filters.add_filter_hook(attach);
	module:hook_global("s2sout-established", on_s2s_established);
	module:hook_global("s2sin-established", on_s2s_established);
	module:hook_global("s2s-destroyed", on_s2s_destroyed);
	module:hook_global("c2s-closed", on_c2s_closed);
	module:hook_global("c2s-session-updated", on_c2s_resumed);
	sink = logger.add_simple_sink(function (source, level, message)
		write { event = "logged"; level = level == "warn" and "warning" or level; text = source..": "..message:sub(1, LONGEST) };
	end, { "warn", "error" });
end

function module.add_host(host)
	host:hook("authentication-success", function (event)
		local handler = event.session.sasl_handler;
		known(event.session).mechanism = handler and handler.selected or "";
	end);
	host:hook("resource-bind", function (event) opened(event.session, known(event.session).mechanism or ""); end);
	host:hook("pre-session-close", function (event)
		local session, reason = event.session, event.reason;
		if type(reason) == "string" then failing(session, reason);
		elseif st.is_stanza(reason) then failing_with(session, reason);
		elseif type(reason) == "table" then failing(session, reason.condition or "undefined-condition", reason.text); end
	end, -1000);
	host:hook("resource-unbind", function (event)
		local stream = streams[event.session];
		if stream then stream.reason = event.error; end
	end);
end

function module.unload()
	filters.remove_filter_hook(attach);
	logger.remove_sink(sink);
	file:close();
end
