-- What an administrator does while the server runs, asked over the admin socket (mod_admin_socket), a stanza a request:
--
--   <lab-registration mode="open|closed|invited"/>   who may register in band (XEP-0077)
--   <lab-invitation/>                                the result is a token for one account (XEP-0445)
--   <lab-delete user="name"/>                        deletes an account
--   <lab-refuse>domain domain</lab-refuse>           refuses these domains and all below them; none: all are accepted
--   <lab-reload/>                                     reads configuration and certificates again
--   <lab-ping to="b.test" within="10"/>              pings (XEP-0199); the result is JSON, as that of mod_lab_accounts
--
-- Each is answered by <repl-result/>, an error by one of type "error". Modules that this needs are loaded when asked.
local st = require "util.stanza";
local json = require "util.json";
local new_id = require "util.id".medium;
local now = require "util.time".now;
local modulemanager = require "core.modulemanager";
local usermanager = require "core.usermanager";

local host = module.host;
local refused = module:shared("/*/lab_policy/refused");

-- Whether a loaded module is there as wanted, with its reason if it is not.
local function set_loaded(on_host, name, wanted)
	if not modulemanager.is_loaded(on_host, name) == not wanted then return true; end
	if wanted then return modulemanager.load(on_host, name); end
	return modulemanager.unload(on_host, name);
end

local function is_ours(name)
	return name == host or name:sub(-#host - 1) == "." .. host;
end

local function must(ok, err)
	if not ok then error(tostring(err), 0); end
	return ok;
end

local requests = {};

requests["lab-registration"] = function (stanza)
	local mode = stanza.attr.mode;
	if mode ~= "invited" then must(set_loaded(host, "invites_register", false)); end
	must(set_loaded(host, "register_ibr", mode ~= "closed"));
	if mode == "invited" then must(set_loaded(host, "invites_register", true)); end
end

requests["lab-invitation"] = function ()
	return must(module:depends("invites").create_account()).token;
end

requests["lab-delete"] = function (stanza)
	local user = stanza.attr.user;
	must(usermanager.user_exists(user, host), "there is no such account");
	must(usermanager.delete_user(user, host));
end

local function is_refused(domain)
	for one in pairs(refused) do
		if domain == one or domain:sub(-#one - 1) == "." .. one then return true; end
	end
	return false;
end

-- Streams that are open would go on carrying stanzas.
local function close_streams()
	local reason = { condition = "policy-violation", text = "lab policy: this domain is refused" };
	for name, one in pairs(prosody.hosts) do
		for domain, session in pairs(is_ours(name) and one.s2sout or {}) do
			if is_refused(domain) then session:close(reason); end
		end
	end
	for session in pairs(prosody.incoming_s2s) do
		if session.to_host and is_ours(session.to_host) and session.from_host and is_refused(session.from_host) then
			session:close(reason);
		end
	end
end

requests["lab-refuse"] = function (stanza)
	for domain in pairs(refused) do refused[domain] = nil; end
	for domain in stanza:get_text():gmatch("%S+") do refused[domain] = true; end
	for name in pairs(prosody.hosts) do
		if is_ours(name) then must(set_loaded(name, "lab_policy", true)); end
	end
	close_streams();
end

requests["lab-reload"] = function () must(prosody.reload_config()); end

for name, request in pairs(requests) do
	module:hook_global("admin/" .. name, function (event)
		local ok, result = pcall(request, event.stanza);
		local attributes = not ok and { type = "error" } or nil;
		event.origin.send(st.stanza("repl-result", attributes):text(result and tostring(result) or ""));
		return true;
	end);
end

-- Answered when the ping is: one that is lost has no condition, but took `within` seconds.
module:hook_global("admin/lab-ping", function (event)
	local to, within, began = event.stanza.attr.to, tonumber(event.stanza.attr.within), now();
	local function tell(condition, text)
		local line = { at = began, seconds = now() - began, condition = condition, text = text };
		event.origin.send(st.stanza("repl-result"):text(json.encode(line)));
	end
	local ping = st.iq({ type = "get", id = new_id(), from = host, to = to }):tag("ping", { xmlns = "urn:xmpp:ping" });
	module:send_iq(ping, nil, within):next(
		function () tell("", ""); end,
		function (err) tell(now() - began < within and err.condition or "no-answer", err.text or ""); end
	);
	return true;
end);
