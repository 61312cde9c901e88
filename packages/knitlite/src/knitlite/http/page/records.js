// What the WebAPI's records say: Data, plans, Runs. Knows no document.

export const brief = (id) => id.slice(0, 8);
export const valueOf = (tags, key) => tags.find((tag) => tag.startsWith(`${key}:`))?.slice(key.length + 1);
export const isSystem = (tag) => tag.startsWith("knit#");

/** Tags that users gave, the short and telling ones first. */
export const ownTags = (tags) => tags.filter((tag) => !isSystem(tag)).sort((a, b) => a.length - b.length);

export const isUpload = (plan) => plan.image === undefined;
/** An image's name with the hashes in it cut: whoever wants them whole finds them in the cell's title. */
export const briefImage = (image) => image.replace(/([0-9a-f]{12})[0-9a-f]{28,}/g, "$1…");
export const planLabel = (plan) =>
  isUpload(plan) ? plan.name.replace("knit#", "") : briefImage(plan.image.split("/").at(-1));
export const commandOf = (plan) => [...(plan.entrypoint ?? []), ...(plan.args ?? [])].join(" ");

export const dataStatus = (data) => valueOf(data.tags, "knit#transient") ?? "ready";
export const planStatus = (plan) => (plan.active ? "active" : "inactive");
export const hasBegun = (run) => !["waiting", "deactivated", "ready"].includes(run.status);
export const hasEnded = (run) => ["done", "failed", "invalidated"].includes(run.status);

/** What stands at a Run's mountpoints; a deleted Run has no outputs. */
export const inputsOf = (run) => (run.inputs ?? []).filter((entry) => entry.knitId);
export const outputsOf = (run) => (run.outputs ?? []).filter((entry) => entry.knitId);
export const logOf = (run) => (run.log?.knitId ? [{ path: "log", ...run.log }] : []);
export const madeBy = (run) => [...outputsOf(run), ...logOf(run)];

const LOOKS = {
  done: ["done", "ready", "active"],
  failed: ["failed", "invalidated", "aborting"],
  running: ["running", "starting", "completing", "processing"],
  waiting: ["waiting"],
};

/** The look of a status word; several words share one. */
export const lookOf = (word) => Object.keys(LOOKS).find((look) => LOOKS[look].includes(word)) ?? "off";
