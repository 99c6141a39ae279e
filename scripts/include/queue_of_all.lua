--[[
queue_of_all -- the queue that every worker reads, of the partition, namespace and priority of another one.

What executes nothing stands there: a skip to be spread, what somebody has settled by hand, a token over
its time, the results of a map, the output of a run. Nobody need serve the node's own queue for that: no
worker may have its function, and it may be paused. sdk/keys.ts makes the same of a key.
]]
local function common_queue(queue)
  local head, name, level = string.match(string.gsub(queue, ":new$", ""), "^(gv:{%d+}:q:)(.*):(%a+)$")
  return head .. (string.match(name, "^ns:[^:]+:") or "") .. "kind:parallel:" .. level
end
