-- So many calls that were admitted are not made after all.
local breaker, calls = KEYS[1], tonumber(ARGV[1])
if redis.call('EXISTS', breaker) == 1 then
    redis.call('HSET', breaker, 'probe_until', 0)
    if redis.call('HINCRBY', breaker, 'unanswered', -calls) < 0 then redis.call('HSET', breaker, 'unanswered', 0) end
end
