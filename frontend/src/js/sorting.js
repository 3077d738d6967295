// Sorting the jobs of a page. Pure. "" is newest first, as the API gives them; "-cost" is cost, the highest first.

const VALUES = {
  dataset: ({ dataset }) => dataset.name.toLowerCase(),
  status: ({ status }) => ["RUNNING", "INITIALIZING", "QUEUED", "COMPLETED", "FAILED", "CANCELLED"].indexOf(status),
  progress: ({ progress }) => progress,
  gpus: ({ gpuConfig }) => `${gpuConfig.gpuType} ${String(gpuConfig.numGpus).padStart(4, "0")}`.toLowerCase(),
  cost: ({ costs }) => Number(costs.final ?? costs.current),
  created: ({ createdAt }) => Date.parse(createdAt),
};

export function isSort(sort) {
  return Object.hasOwn(VALUES, (sort ?? "").replace(/^-/, ""));
}

export function sorted(jobs, sort) {
  if (!isSort(sort)) return jobs;
  const value = VALUES[sort.replace(/^-/, "")];
  const way = sort.startsWith("-") ? -1 : 1;
  return [...jobs].sort((a, b) => {
    const [one, other] = [value(a), value(b)];
    return one < other ? -way : one > other ? way : 0;
  });
}

/** What a press on a column's head asks for next: up, down, and the API's own order again. */
export function nextSort(sort, column) {
  if (sort === column) return `-${column}`;
  return sort === `-${column}` ? "" : column;
}
