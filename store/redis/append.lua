-- Appends a record unless one with a name of it is there.
-- ARGV: the grace, end, the record, most records, a new life, names...
local now, max = clock(), tonumber(ARGV[4])
if tonumber(ARGV[2]) <= now then
	return 'ended'
end
begin(ARGV[5])

local names = {}
for i = 6, #ARGV do
	local held = redis.call('HGET', ids, ARGV[i])
	if held then
		local until_ = redis.call('ZSCORE', ends, held)
		if until_ and tonumber(until_) > tonumber(now) and #redis.call('XRANGE', stream, held, held) > 0 then
			return 'held'
		end
		forget(held)
		redis.call('HDEL', ids, ARGV[i])
	end
	names[#names + 1] = ARGV[i]
end

-- Where there is room, what has ended is left for its grace.
sweep(now - ARGV[1], 16)
if redis.call('XLEN', stream) >= max then
	sweep(now, 1000)
	if redis.call('XLEN', stream) >= max then
		return 'full'
	end
end

local id = redis.call('XADD', stream, '*', 'k', table.concat(names, ' '), 'r', ARGV[3])
redis.call('ZADD', ends, ARGV[2], id)
for _, name in ipairs(names) do
	redis.call('HSET', ids, name, id)
end
return 'added'
