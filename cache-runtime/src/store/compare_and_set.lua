-- Replaces an entry only if the key still begins with the bytes that the writer has read.
-- KEYS[1] the entry. ARGV[1] the bytes read, empty for an absent key; ARGV[2] the action: `whole`,
-- `header` or `delete`; ARGV[3] the new bytes; ARGV[4] their lifetime in milliseconds, 0 to keep it.
-- An empty ARGV[1] makes the range 0 to -1, the whole value, which must then be empty or absent.
-- Returns 1 if it has written, and else 0.
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then
  return 0
end
if ARGV[2] == 'whole' then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
elseif ARGV[2] == 'header' then
  redis.call('SETRANGE', KEYS[1], 0, ARGV[3])
  if ARGV[4] ~= '0' then
    redis.call('PEXPIRE', KEYS[1], ARGV[4])
  end
else
  redis.call('UNLINK', KEYS[1])
end
return 1
