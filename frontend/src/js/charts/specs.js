// What is drawn of one job: five charts over steps. `log`: a logarithmic axis makes sense of it.

import { figure, loss, percent } from "../format.js";

/** @type {import("../kinds.js").JobSpec[]} */
export const CHARTS = [
  {
    name: "loss",
    title: "Loss",
    show: loss,
    log: true,
    series: [
      { name: "trainingLoss", label: "Training", token: "--chart-1", smooth: true },
      { name: "validationLoss", label: "Validation", token: "--chart-2", dots: true },
    ],
  },
  {
    name: "learning-rate",
    title: "Learning rate",
    show: figure,
    log: true,
    series: [{ name: "learningRate", label: "Rate", token: "--chart-3" }],
  },
  {
    name: "gradient-norm",
    title: "Gradient norm",
    show: figure,
    log: true,
    series: [{ name: "gradientNorm", label: "Norm", token: "--chart-4", smooth: true }],
  },
  {
    name: "throughput",
    title: "Throughput",
    show: figure,
    series: [{ name: "throughput", label: "Tokens/sec", token: "--chart-5", smooth: true }],
  },
  {
    name: "gpu",
    title: "GPU utilization",
    show: percent,
    range: [0, 100],
    series: [{ name: "gpuUtilization", label: "In use", token: "--chart-6", smooth: true }],
  },
];
