-- Sends the requests of the file REQUESTS in turn, each as it stands, and prints what came of them.
-- With POINTS each is a head that ends with `Content-Length: ` and gets a body of so many points, whose steps go on from
-- FIRST for each of the requests, so that every point is new and follows the one before, as a trainer's do.
local file = io.open(os.getenv("REQUESTS"), "rb")
local text = file:read("*a")
file:close()
local requests, from = {}, 1
while from <= #text do
  local to = text:find("\0", from, true)
  requests[#requests + 1] = text:sub(from, to - 1)
  from = to + 1
end

local count, first, number = tonumber(os.getenv("POINTS")), tonumber(os.getenv("FIRST")) or 0, 0
local point = '{"step":%d,"epoch":1,"training_loss":1.234567,"validation_loss":1.345678,"learning_rate":0.000198,'
  .. '"gradient_norm":0.876,"throughput":3245.6,"gpu_utilization":93.2,"timestamp":"2026-01-01T00:00:00+00:00"}'

local function points()
  local new = {}
  for place = 1, count do
    new[place] = point:format(first + place)
  end
  local body = '{"points":[' .. table.concat(new, ",") .. "]}"
  return #body .. "\r\n\r\n" .. body
end

function request()
  if number == #requests then
    number, first = 0, first + (count or 0)
  end
  number = number + 1
  return count and requests[number] .. points() or requests[number]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "bytes": %d, "p50": %f, "p95": %f, "p99": %f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, summary.bytes,
    latency:percentile(50) / 1e3, latency:percentile(95) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
