-- The provider has answered about a message: it lives, and whatever was held against it is forgotten.
local breaker, ttl = KEYS[1], tonumber(ARGV[1])
local time = redis.call('TIME')
redis.call('DEL', breaker)
redis.call('HSET', breaker, 'answered_at', string.format('%.6f', time[1] + time[2] / 1000000))
redis.call('EXPIRE', breaker, ttl)
