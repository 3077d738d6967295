// Zero is a value, money is never a number, and what is unknown is a dash.

import assert from "node:assert/strict";
import { test } from "node:test";

import * as format from "../../frontend/src/js/format.js";

const table = (name, run, rows) =>
  test(name, () => {
    for (const [given, expected] of rows)
      assert.equal(run(given), expected, `of ${given}`);
  });

table("money is the server's decimal, grouped", format.money, [
  ["0.00", "$0.00"],
  ["12.34", "$12.34"],
  ["12.3", "$12.30"],
  ["7", "$7.00"],
  ["1234.50", "$1,234.50"],
  ["1234567.89", "$1,234,567.89"],
  ["-1.00", "-$1.00"],
  ["9007199254740993.01", "$9,007,199,254,740,993.01"],
  [null, "–"],
  [undefined, "–"],
  ["a lot", "–"],
]);

table("a loss has four decimals, also at zero", format.loss, [
  [0, "0.0000"],
  [0.45678, "0.4568"],
  [12, "12.0000"],
  [null, "–"],
]);

table(
  "percent is cut, so that nothing is finished before it is",
  format.percent,
  [
    [0, "0%"],
    [41.56, "41.5%"],
    [99.97, "99.9%"],
    [100, "100%"],
    [0.3, "0.3%"],
    [null, "–"],
  ],
);

table("a count is grouped", format.count, [
  [0, "0"],
  [1234567, "1,234,567"],
  [5200.4, "5,200"],
  [null, "–"],
]);

table("a figure has three digits that matter", format.figure, [
  [0, "0"],
  [0.00021, "2.1e-4"],
  [0.0123456, "0.0123"],
  [12.34, "12.3"],
  [1234.5, "1,235"],
  [-0.5, "-0.5"],
  [null, "–"],
]);

table("a setting keeps every digit", format.exact, [
  [0.00012345, "1.2345e-4"],
  [0.0002, "2e-4"],
  [0.05, "0.05"],
  [0, "0"],
  [16, "16"],
]);

table("a duration has two units at most", format.duration, [
  [0, "0s"],
  [59.6, "1m 00s"],
  [125, "2m 05s"],
  [3600, "1h 00m"],
  [12_000, "3h 20m"],
  [187_200, "2d 4h"],
  [-3, "0s"],
  [null, "–"],
]);

table("an estimate claims no more than it knows", format.roughHours, [
  [0.001, "under a minute"],
  [0.0167, "about 1 minute"],
  [0.5, "about 30 minutes"],
  [2.468, "about 2.5 hours"],
  [35, "about 35 hours"],
]);

table("bytes go in thousands", format.bytes, [
  [0, "0 B"],
  [999, "999 B"],
  [1536, "1.5 kB"],
  [999_960, "1.0 MB"],
  [84_211_733, "84.2 MB"],
  [null, "–"],
]);

test("an instant has a UTC title", () => {
  assert.equal(
    format.utcTime("2026-11-24T09:05:07.123Z"),
    "2026-11-24 09:05:07 UTC",
  );
  assert.equal(format.utcTime(null), "");
  assert.equal(format.localTime(null), "–");
});

test("how long ago is told in one unit", () => {
  const now = Date.parse("2026-11-24T12:00:00Z");
  assert.equal(format.ago("2026-11-24T11:59:30Z", now), "just now");
  assert.equal(format.ago("2026-11-24T11:59:05Z", now), "1 min ago");
  assert.equal(format.ago("2026-11-24T09:00:00Z", now), "3 h ago");
  assert.match(format.ago("2026-11-01T09:00:00Z", now), /2026/);
  assert.equal(
    format.ago("2026-11-24T12:00:09Z", now),
    "just now",
    "a clock that is a little ahead",
  );
});

test("GPUs are counted with a plain x", () => {
  assert.equal(
    format.gpus({ numGpus: 2, gpuType: "NVIDIA A100" }),
    "2x NVIDIA A100",
  );
});
