-- Which servers this one may federate with: an allow list of host names, for the domain and each of its components, and
-- domains that are refused while it runs (mod_lab_admin).
--
--   lab_allow            list; absent: everyone
--   lab_allow_outbound   false: only streams that come in are refused, so that a sender meets the network's own error
--   lab_no_external      true: neither offers nor uses SASL EXTERNAL, so that dialback (XEP-0220) is what happens
--
-- A sender here gets `not-allowed` at once; a stream from elsewhere is closed with `policy-violation`.
local st = require "util.stanza";
local jid_host = require "util.jid".host;

local allow = module:get_option_set("lab_allow");
local outbound = module:get_option_boolean("lab_allow_outbound", true);
local xmlns_sasl = "urn:ietf:params:xml:ns:xmpp-sasl";

local refused = module:shared("/*/lab_policy/refused");

local function is_refused(host)
	for domain in pairs(refused) do
		if host == domain or host:sub(-#domain - 1) == "." .. domain then return true; end
	end
	return false;
end

local function allowed(host)
	return not is_refused(host) and (not allow or allow:contains(host));
end

local function refuse(session)
	session.log("info", "lab policy: no federation with %s", session.from_host);
	session:close({ condition = "policy-violation", text = "lab policy: no federation with " .. session.from_host });
	return true;
end

-- Before mod_s2s looks for a stream (priorities -1 and -10).
module:hook("route/remote", function (event)
	if allowed(event.to_host) or not outbound and not is_refused(event.to_host) then return; end
	local stanza = event.stanza;
	if stanza.attr.type ~= "error" and stanza.attr.type ~= "result" then
		local text = "lab policy: no federation with " .. event.to_host;
		module:send(st.error_reply(stanza, "cancel", "not-allowed", text, module.host));
	end
	return true;
end, 1000);

-- The features of a stream are the first thing that its other side waits for: it learns of the refusal here.
module:hook("s2s-stream-features", function (event)
	local session = event.origin;
	if session.from_host and not allowed(session.from_host) then refuse(session); end
end, 10000);

-- A stream may name its sender only later, or carry a second domain by dialback.
module:hook("s2s-authenticated", function (event)
	if event.session.direction == "incoming" and not allowed(jid_host(event.host)) then
		return refuse(event.session);
	end
end, 1000);

if module:get_option_boolean("lab_no_external", false) then
	-- Before mod_saslauth (priority 150), which would take the offer.
	module:hook_stanza("http://etherx.jabber.org/streams", "features", function (_, features)
		features:remove_children("mechanisms", xmlns_sasl);
	end, 160);
end
