-- A call went unanswered, or our account was refused. Answers for how many seconds the breaker opens by that, '' if
-- it doesn't: enough failures in a row open it, a failed probe opens it for twice as long as before.
local breaker = KEYS[1]
local failures, cool_down, longest, ttl = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local failed = redis.call('HINCRBY', breaker, 'failures', 1)
redis.call('EXPIRE', breaker, ttl)
local found = redis.call('HMGET', breaker, 'open_until', 'cool_down')
local open_until, cooled = tonumber(found[1] or 0), tonumber(found[2] or 0)
if open_until > now or (cooled == 0 and failed < failures) then return '' end
local cooling = math.max(cool_down, math.min(cooled * 2, longest))
redis.call('HSET', breaker, 'open_until', now + cooling, 'cool_down', cooling, 'probe_until', 0)
return tostring(cooling)
