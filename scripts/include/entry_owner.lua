--[[
entry_owner -- does the caller still own a stream entry?

Part of complete_tokens. A chain's tokens share one entry: whoever owns it goes on with them, so a
worker that lost it must neither go on nor acknowledge (21 A11).
]]

-- How often the entry was delivered; nil if it is not pending for the caller. With its stream or the
-- group gone (an error, not an empty answer) nobody owns it.
local function owned_deliveries(queue, entry_id)
  local pending = redis.pcall("XPENDING", queue, GROUP, entry_id, entry_id, 1, consumer)
  return pending[1] and pending[1][4]
end

-- Whether the caller goes on with the chain that this entry stands for. Deliveries are counted per
-- token, not per entry: a node that kills its worker must not use up the next one's.
local function keep_entry(queue, entry_id)
  local deliveries = owned_deliveries(queue, entry_id)
  if deliveries and deliveries > 1 then
    redis.call("XCLAIM", queue, GROUP, consumer, 0, entry_id, "RETRYCOUNT", 1, "JUSTID")
  end
  return deliveries ~= nil
end
