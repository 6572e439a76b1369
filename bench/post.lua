-- wrk script: posts pictures in turn and checks every answer.
-- Arguments: content type, pattern that every answer must match ("" for any), files.

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  expected, wrong, turn, bodies = arguments[2], 0, 0, {}
  for index = 3, #arguments do
    local file = assert(io.open(arguments[index], "rb"))
    bodies[index - 2] = file:read("*a")
    file:close()
  end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = arguments[1]
end

function request()
  turn = turn % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[turn])
end

function response(status, headers, body)
  if status ~= 200 or not body:find(expected) then
    wrong = wrong + 1
  end
end

function done(summary, latency, requests)
  local wrong = 0
  for _, thread in ipairs(threads) do
    wrong = wrong + thread:get("wrong")
  end
  local errors = summary.errors
  io.write(string.format(
    "\n{\"requests\": %d, \"seconds\": %f, \"p50_ms\": %f, \"p99_ms\": %f, \"wrong\": %d, \"failed\": %d}\n",
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, wrong,
    errors.connect + errors.read + errors.write + errors.timeout))
end
