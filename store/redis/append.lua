-- Appends a record unless one with a name of it is there.
-- ARGV: now, end, the record, most records, a new life, names...
local now, max = ARGV[1], tonumber(ARGV[4])
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

sweep(now, 16)
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
