-- A call that was admitted is not made after all.
local breaker = KEYS[1]
if redis.call('EXISTS', breaker) == 1 then
    redis.call('HSET', breaker, 'probe_until', 0)
    if redis.call('HINCRBY', breaker, 'unanswered', -1) < 0 then redis.call('HSET', breaker, 'unanswered', 0) end
end
