-- Says when this server accepts streams, and pings (XEP-0199) each neighbour in `lab_probes` until it has answered:
-- a ping and its answer cross the link in both directions.
--
--   lab_ready_file   JSON lines: {"started": true, "at": epoch}, then {"probed": "<domain>", "at": epoch} each
--   lab_probes       list of domains
local st = require "util.stanza";
local now = require "util.time".now;
local new_id = require "util.id".medium;
local json = require "util.json";

local path = module:get_option_string("lab_ready_file");
local probes = module:get_option_array("lab_probes", {});

local RETRY_AFTER = 0.25; -- seconds after an error: the neighbour may still be starting
local GIVE_UP_AFTER = module:get_option_number("lab_probe_patience", 10); -- seconds without any answer, then a new ping
-- Errors that only the neighbour itself can have sent (XEP-0199 section 4.3): it was reached.
local ANSWERS = { ["service-unavailable"] = true, ["feature-not-implemented"] = true };

local function tell(line)
	line.at = now();
	local file = assert(io.open(path, "a"));
	file:write(json.encode(line), "\n");
	file:close();
end

local function probe(domain)
	local function answered() tell({ probed = domain }); end
	local function failed(err)
		if ANSWERS[err.condition] then return answered(); end
		module:log("debug", "probe of %s: %s", domain, err.condition or err);
		module:add_timer(RETRY_AFTER, function () probe(domain); end);
	end
	local ping = st.iq({ type = "get", id = new_id(), from = module.host, to = domain })
		:tag("ping", { xmlns = "urn:xmpp:ping" });
	module:send_iq(ping, nil, GIVE_UP_AFTER):next(answered, failed);
end

local function start()
	tell({ started = true });
	for _, domain in ipairs(probes) do probe(domain); end
end

if prosody.start_time then start(); else module:hook_global("server-started", start); end
