-- A server that treats the messages it sends to other servers badly, on purpose. Set `sabotage` to
--   "drop"    the second message with a body or an encrypted payload is swallowed
--   "repeat"  the second one is sent twice
--   "reorder" the second one is held until the third has gone
local st = require "prosody.util.stanza";
local mode = module:get_option_string("sabotage");
local OWN = "sabotaged"; -- marks what this module has put on its way itself
local seen, held = 0, nil;

local function send(origin, stanza)
	local copy = st.clone(stanza);
	copy[OWN] = true;
	prosody.core_route_stanza(origin, copy);
end

module:hook("route/remote", function (event)
	local stanza = event.stanza;
	if stanza.name ~= "message" or stanza.attr.type == "error" or stanza[OWN] then return; end
	if not stanza:get_child("body") and not stanza:get_child("encrypted", "eu.siacs.conversations.axolotl") then return; end
	seen = seen + 1;
	if mode == "drop" and seen == 2 then
		return true;
	elseif mode == "repeat" and seen == 2 then
		send(prosody.hosts[module.host], stanza);
	elseif mode == "reorder" and seen == 2 then
		held = stanza;
		return true;
	elseif held then
		local late = held;
		held = nil;
		send(prosody.hosts[module.host], stanza);
		send(prosody.hosts[module.host], late);
		return true;
	end
end, 2000);
