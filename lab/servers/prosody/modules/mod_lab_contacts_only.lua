-- Nobody can open what they publish to strangers (`features: [-open-pep]`): an access model `open` is refused.
--
-- A publication that asks for it gets precondition-not-met (XEP-0060 section 7.1.5), a configuration not-acceptable
-- (section 8.2.3.4); who asks for nothing gets mod_pep's own `presence`, contacts only.
local st = require "util.stanza";

local xmlns_pubsub = "http://jabber.org/protocol/pubsub";
local xmlns_owner = xmlns_pubsub.."#owner";
local xmlns_errors = xmlns_pubsub.."#errors";

local function asks_for_open(parent)
	local form = parent and parent:get_child("x", "jabber:x:data");
	for field in (form or st.stanza("x")):childtags("field") do
		if field.attr.var == "pubsub#access_model" and field:get_child_text("value") == "open" then return true; end
	end
	return false;
end

-- Before mod_pep (priority 0).
module:hook("iq/bare/"..xmlns_pubsub..":pubsub", function (event)
	local pubsub = event.stanza.tags[1];
	if asks_for_open(pubsub:get_child("publish-options")) then
		local reply = st.error_reply(event.stanza, "cancel", "conflict", "lab policy: contacts only");
		event.origin.send(reply:tag("precondition-not-met", { xmlns = xmlns_errors }));
		return true;
	elseif asks_for_open(pubsub:get_child("configure")) then
		event.origin.send(st.error_reply(event.stanza, "modify", "not-acceptable", "lab policy: contacts only"));
		return true;
	end
end, 100);

module:hook("iq/bare/"..xmlns_owner..":pubsub", function (event)
	if asks_for_open(event.stanza.tags[1]:get_child("configure")) then
		event.origin.send(st.error_reply(event.stanza, "modify", "not-acceptable", "lab policy: contacts only"));
		return true;
	end
end, 100);
