-- Rosters that are written into the storage of a running server count at once: Prosody keeps those of people who are
-- not online in memory, and would answer a probe of somebody's presence from there.
--
--   lab_rosters_stamp   a file whose text changes when rosters were written
local host = prosody.hosts[module.host];
local new_cache = require "util.cache".new;

local path = module:get_option_string("lab_rosters_stamp");
local SIZE = 1024; -- as many as Prosody itself keeps (core/rostermanager.lua)

local function stamp()
	local file = io.open(path, "r");
	if not file then return nil; end
	local text = file:read("*a");
	file:close();
	return text;
end

local cache, current = new_cache(SIZE), stamp();
local ours = {};

function ours:get(jid)
	local now = stamp();
	if now ~= current then cache, current = new_cache(SIZE), now; end
	return cache:get(jid);
end

function ours:set(jid, roster) return cache:set(jid, roster); end

host.roster_cache = ours;
