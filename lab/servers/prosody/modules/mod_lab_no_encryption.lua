-- Messages that are encrypted end to end are dropped, and nobody is told (`features: [-encrypted-messages]`): what
-- people here send as well as what is sent to them.
--
--   lab_no_encryption_elements   children of a message that show an encryption, "{namespace}name"
--   lab_no_encryption_bodies     how bodies begin that are encrypted, each behind "namespace "
local elements = module:get_option_set("lab_no_encryption_elements", {});
local bodies = {};
for _, text in ipairs(module:get_option_array("lab_no_encryption_bodies", {})) do
	table.insert(bodies, text:match("^%S+ (.+)$"));
end

-- Not `childtags`: without a namespace it finds children of the stanza's own namespace only.
local function is_encrypted(stanza)
	for _, child in ipairs(stanza.tags) do
		local name, namespace = child.name, child.attr.xmlns;
		if namespace and elements:contains("{"..namespace.."}"..name) then return true; end
	end
	local body = stanza:get_child_text("body") or "";
	for _, begins in ipairs(bodies) do
		if body:sub(1, #begins) == begins then return true; end
	end
	return false;
end

local function drop(event)
	if event.stanza.attr.type ~= "error" and is_encrypted(event.stanza) then
		module:log("info", "lab policy: an encrypted message from %s to %s is dropped",
			event.stanza.attr.from, event.stanza.attr.to);
		return true;
	end
end

-- Before everything else: archives, carbon copies, the offline store.
for _, name in ipairs { "pre-message/bare", "pre-message/full", "pre-message/host", "message/bare", "message/full" } do
	module:hook(name, drop, 10000);
end
