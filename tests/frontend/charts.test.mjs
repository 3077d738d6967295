// What charts do with numbers before they are drawn.

import assert from "node:assert/strict";
import { test } from "node:test";

import { csv, fileName } from "../../frontend/src/js/charts/export.js";
import { readZoom } from "../../frontend/src/js/charts/look.js";
import {
  brokenSteps,
  evened,
  heights,
  logTicks,
  nearest,
  positive,
  smooth,
  withGaps,
  within,
  withoutOutliers,
} from "../../frontend/src/js/charts/shape.js";

const steps = (...numbers) =>
  numbers.map((step) => ({ step, trainingLoss: 1 }));
const range = (from, to, by = 1) =>
  Array.from(
    { length: Math.floor((to - from) / by) + 1 },
    (_, i) => from + i * by,
  );

test("a stretch that nobody reported is an empty row between its ends", () => {
  const rows = withGaps(steps(...range(1, 20), ...range(60, 80)));
  assert.equal(rows.length, 42);
  assert.deepEqual(rows[20], { step: 40, gap: true, from: 20, to: 60 });
});

test("a trainer that reports every tenth step, or irregularly, leaves no gap", () => {
  for (const points of [
    steps(...range(10, 400, 10)),
    steps(...range(1, 30), 33, 34),
    steps(1, 2, 900),
    [],
  ]) {
    assert.equal(withGaps(points), points);
  }
});

test("smoothing leaves a flat line flat from its first value, keeps gaps, and does nothing at weight 0", () => {
  for (const value of smooth([3, 3, 3, 3], 0.9))
    assert.ok(Math.abs(value - 3) < 1e-9);
  assert.deepEqual(smooth([1, null, undefined, 5], 0), [1, null, undefined, 5]);
  const [, , late] = smooth([0, 0, 9], 0.5);
  assert.ok(late > 4 && late < 9);
});

test("one spike among many values is an outlier; a few values have none", () => {
  assert.deepEqual(
    withoutOutliers([...range(1, 98), 5_000, -5_000, null, undefined]),
    [2, 97],
  );
  assert.equal(withoutOutliers([1, 2, 900]), null);
  assert.deepEqual(within([1, 900, null], [0, 5]), [1, undefined, null]);
  assert.deepEqual(within([1, 900], null), [1, 900]);
  const spiked = [...range(1, 50), 5_000, ...range(51, 50)];
  assert.ok(
    Math.max(
      ...evened(spiked, { smoothing: 0.5, cap: true }).filter(
        (value) => value !== undefined,
      ),
    ) < 100,
  );
  assert.ok(
    Math.max(...evened(spiked, { smoothing: 0.5, cap: false })) > 1_000,
  );
});

test("a logarithmic axis passes over what has no logarithm", () => {
  assert.deepEqual(positive([0, -1, 2, null, undefined]), [
    undefined,
    undefined,
    2,
    null,
    undefined,
  ]);
});

test("the ticks of a logarithmic axis are round and lie within it", () => {
  assert.deepEqual(logTicks(0.55, 1.4), [0.6, 0.8, 1, 1.2, 1.4]);
  assert.deepEqual(
    logTicks(0.01, 10),
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
  );
  assert.deepEqual(logTicks(1e-6, 1), [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1]);
  for (const [min, max] of [
    [0, 1],
    [1, 1],
    [-1, 2],
  ])
    assert.deepEqual(logTicks(min, max), []);
});

test("steps where a trainer reported no number are marked on the charts of what is missing there", () => {
  const rows = [
    { step: 1, trainingLoss: 1, gradientNorm: 2 },
    { step: 2, trainingLoss: null, gradientNorm: 2, nonFinite: true },
    { step: 3, trainingLoss: null, gradientNorm: 2, nonFinite: false },
  ];
  assert.deepEqual(brokenSteps(rows, ["trainingLoss", "validationLoss"]), [2]);
  assert.deepEqual(brokenSteps(rows, ["gradientNorm"]), []);
  assert.deepEqual(
    brokenSteps(rows, ["throughput"]),
    [],
    "it never had a value",
  );
});

test("a line has room above and below, a flat one lies in the middle, zeros on the floor", () => {
  assert.deepEqual(heights(0, 100), [0, 108]);
  assert.deepEqual(heights(0, 0), [0, 1]);
  assert.deepEqual(heights(10, 10), [9, 11]);
  assert.deepEqual(heights(null, null), [0, 1]);
  const [low, high] = heights(1, 100, true);
  assert.ok(low > 0 && low < 1 && high > 100);
  assert.deepEqual(heights(4, 4, true), [2, 8]);
});

test("the nearest step is found after a redraw", () => {
  assert.equal(nearest([1, 5, 9], 6), 1);
  assert.equal(nearest([1, 5, 9], 100), 2);
});

test("a table has every column, nothing where there is no value, and zero as zero", () => {
  const point = {
    step: 1,
    epoch: 1,
    timestamp: "2026-11-24T00:00:00Z",
    trainingLoss: 0,
    validationLoss: null,
    learningRate: 2e-4,
    gradientNorm: null,
    throughput: 5,
    gpuUtilization: null,
    nonFinite: false,
  };
  assert.equal(
    csv([point]),
    "step,epoch,timestamp,trainingLoss,validationLoss,learningRate,gradientNorm,throughput,gpuUtilization,nonFinite\r\n" +
      "1,1,2026-11-24T00:00:00Z,0,,0.0002,,5,,false\r\n",
  );
});

test("a file is named for the job, without anything a file system minds", () => {
  assert.equal(
    fileName("Größe: 50% / a\\b ..  6f0f5a0e"),
    "größe-50-a-b-6f0f5a0e",
  );
  assert.equal(fileName("///"), "chart");
});

test("a zoom in the address is two ascending steps, or none", () => {
  const zoom = (text) => readZoom(new URL(`https://here/?zoom=${text}`));
  assert.deepEqual(zoom("10-20"), [10, 20]);
  for (const text of ["20-10", "10-10", "a-b", "-5-10", "", "1-99999999999"])
    assert.equal(zoom(text), null, text);
});
