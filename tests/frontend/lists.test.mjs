// Sorting, picking and comparing jobs; looking into a file before it is sent.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  bargains,
  overlaid,
  sideBySide,
  valueUpTo,
} from "../../frontend/src/js/compared.js";
import { preview } from "../../frontend/src/js/jsonl.js";
import { comparedIds, comparison, picks } from "../../frontend/src/js/picks.js";
import {
  directionOf,
  isSort,
  nextSort,
  orderOf,
} from "../../frontend/src/js/sorting.js";

const START = Date.UTC(2026, 10, 24, 12);
const job = (name, changes = {}) => ({
  id: name,
  status: "COMPLETED",
  progress: 100,
  createdAt: new Date(START).toISOString(),
  startedAt: new Date(START).toISOString(),
  completedAt: new Date(START + 60_000).toISOString(),
  dataset: { name },
  hyperparameters: {
    baseModel: "m",
    learningRate: 2e-4,
    batchSize: 4,
    numEpochs: 3,
    loraRank: 16,
    loraAlpha: 32,
    loraDropout: 0,
  },
  gpuConfig: { gpuType: "A100", numGpus: 1, costPerGpuHour: "2.50" },
  costs: { current: "1.00", final: "1.00" },
  metrics: [],
  ...changes,
});
const points = (every, losses) =>
  losses.map((trainingLoss, i) => ({
    step: (i + 1) * every,
    timestamp: new Date(START + (i + 1) * 1000).toISOString(),
    trainingLoss,
    validationLoss: null,
  }));

test("an order in the address is the API's order, and newest first without one", () => {
  assert.deepEqual(orderOf("cost"), { orderBy: "COST", ascending: true });
  assert.deepEqual(orderOf("-dataset"), {
    orderBy: "DATASET",
    ascending: false,
  });
  assert.deepEqual(orderOf(""), { orderBy: "CREATED", ascending: false });
  assert.deepEqual(["cost", "-cost", "toString", "", null].map(isSort), [
    true,
    true,
    false,
    false,
    false,
  ]);
  assert.deepEqual(
    ["cost", "created"].map((column) => directionOf("", column)),
    [null, "descending"],
  );
  assert.deepEqual(
    ["cost", "created"].map((column) => directionOf("cost", column)),
    ["ascending", null],
  );
});

test("a column's head leads from up to down and back to newest first", () => {
  const walk = (column) =>
    [1, 2, 3].reduce((seen) => [...seen, nextSort(seen.at(-1), column)], [""]);
  assert.deepEqual(walk("cost"), ["", "cost", "-cost", ""]);
  assert.deepEqual(walk("created"), ["", "created", "", "created"]);
  assert.equal(nextSort("cost", "status"), "status");
});

test("at most five jobs are picked, and an address brings them back", () => {
  for (const id of "abcdef") picks.set(id, true);
  assert.deepEqual(picks.list(), [..."abcde"]);
  picks.set("b", false);
  assert.ok(!picks.full() && !picks.has("b"));
  assert.deepEqual(
    comparedIds(new URL(comparison(picks.list()), "https://here")),
    [..."acde"],
  );
  assert.deepEqual(comparedIds(new URL("https://here/?ids=a,a,,b")), [
    "a",
    "b",
  ]);
  picks.clear();
});

test("settings that differ stand first, the rest is said once, and the lowest wins when all have ended", () => {
  const jobs = [
    job("one", { metrics: points(1, [3, 2]) }),
    job("two", {
      metrics: points(1, [3, 1]),
      hyperparameters: { ...job("x").hyperparameters, loraRank: 64 },
    }),
  ];
  const { rows, alike } = sideBySide(jobs);
  assert.deepEqual(
    rows.slice(0, 2).map(({ name }) => name),
    ["Dataset", "LoRA rank"],
  );
  assert.ok(alike.some(({ name }) => name === "Batch size"));
  assert.equal(rows.find(({ name }) => name === "Training loss").best, 1);
  assert.equal(
    rows.find(({ name }) => name === "Cost").best,
    null,
    "they cost the same",
  );
  const still = sideBySide([jobs[0], { ...jobs[1], status: "RUNNING" }]);
  assert.ok(still.rows.every(({ best }) => best === null));
});

test("curves share one axis, of steps or of time, and a step the other lacks breaks nothing", () => {
  const jobs = [
    job("one", { metrics: points(1, [3, 2]) }),
    job("two", { metrics: points(2, [5, 4]) }),
  ];
  assert.deepEqual(overlaid(jobs, ["trainingLoss"]), [
    [1, 2, 4],
    [3, 2, undefined],
    [undefined, 5, 4],
  ]);
  assert.deepEqual(overlaid(jobs, ["trainingLoss"], { byTime: true }), [
    [1, 2],
    [3, 2],
    [5, 4],
  ]);
  assert.equal(valueUpTo([3, undefined, undefined], 2), 3);
  assert.equal(valueUpTo([undefined, 4], 0), null);
});

test("cost is held against the validation loss where all have one, else against the training loss", () => {
  const jobs = [
    job("one", { metrics: points(1, [3]) }),
    job("two", { metrics: [{ ...points(1, [2])[0], validationLoss: 7 }] }),
  ];
  assert.deepEqual(bargains(jobs), {
    name: "trainingLoss",
    points: [
      { cost: 1, loss: 3 },
      { cost: 1, loss: 2 },
    ],
  });
  assert.equal(bargains([jobs[1], jobs[1]]).name, "validationLoss");
});

test("the first pairs of a file are shown with their lines, of either format", () => {
  const file =
    '\uFEFF{"prompt": "a", "completion": "b"}\r\n\n{"prompt": "c", "completion": "d"}\n';
  assert.deepEqual(preview(file), {
    pairs: [
      { line: 1, prompt: "a", completion: "b" },
      { line: 3, prompt: "c", completion: "d" },
    ],
    flaws: [],
  });
  const messages = JSON.stringify({
    messages: [
      { role: "user", content: "hi" },
      { role: "assistant", content: "ho" },
    ],
  });
  assert.deepEqual(preview(messages).pairs, [
    { line: 1, prompt: "user: hi", completion: "ho" },
  ]);
});

test("what is wrong is named by its line, and the cut end of a long file is not called wrong", () => {
  const lines = [
    '{"prompt": "a", "completion": "b"}',
    "hello",
    '{"prompt": "a"}',
    '{"prompt": 1, "completion": "b"}',
    "[1]",
    '{"messages": []}',
  ];
  assert.deepEqual(
    preview(lines.join("\n")).flaws.map(({ line }) => line),
    [2, 3, 4, 5, 6],
  );
  assert.deepEqual(
    preview('{"prompt": "a", "completion": "b"}\n{"prom', { whole: false })
      .flaws,
    [],
  );
  assert.equal(preview("").flaws.length, 1);
  assert.match(preview("prompt,completion\na,b").flaws[0].message, /CSV/);
});
