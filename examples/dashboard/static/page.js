// What the page shows comes over one WebSocket: the last minute first, then a snapshot every half second.
"use strict";

const HISTORY = 120; // snapshots that are kept for the plots
const byId = (id) => document.getElementById(id);
const plots = {
  rate: new Plot(byId("throughput"), "messages per second"),
  lag: new Plot(byId("lag"), "messages"),
};
let history = [];
let feed = null;
let pause = 500; // milliseconds until the connection is tried again; grows while it fails

function connect() {
  feed = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/feed`);
  feed.onopen = () => { pause = 500; };
  feed.onmessage = ({data}) => take(JSON.parse(data));
  feed.onclose = () => {
    showTrouble("The dashboard's server is away. The page goes on when it is back.", "no server");
    byId("produce").querySelector("button").disabled = true;
    setTimeout(connect, pause);
    pause = Math.min(2 * pause, 5000);
  };
}

function take(message) {
  if (message.history) history = message.history;
  if (message.now) history = history.concat([message.now]).slice(-HISTORY);
  if (message.written) answer(`${message.written.toLocaleString("en")} written`);
  if (message.refused) answer(message.refused);
  if ((message.history || message.now) && history.length) show(history.at(-1));
}

function answer(text) {
  byId("answer").textContent = text;
  byId("produce").querySelector("button").disabled = false;
}

function show(snapshot) {
  byId("topic").textContent = snapshot.topic;
  byId("group").textContent = snapshot.group;
  byId("state").textContent = snapshot.state;
  document.title = `${snapshot.topic} – kiel dashboard`;
  for (const cell of document.querySelectorAll("[data-number]")) {
    cell.textContent = snapshot.numbers[cell.dataset.number].toLocaleString("en");
  }
  const trouble = snapshot.trouble;
  if (trouble) {
    showTrouble(trouble.text, "trouble", trouble.seconds);
  } else {
    byId("trouble").hidden = true;
    setStatus("live", "good");
  }
  if (byId("answer").textContent !== "…") byId("produce").querySelector("button").disabled = false;
  for (const [what, plot] of Object.entries(plots)) {
    plot.draw(seriesOf(what, snapshot), history[0].time, snapshot.time);
  }
  fill("partitions", snapshot.partitions.map((part) => [
    part.id, part.member ?? "nobody", part.end, part.committed, part.lag, part.rate?.toFixed(1)]), 2);
  fill("members", snapshot.members.map((member) => [
    member.name, member.host.replace("/", ""), member.partitions.join(", ") || "none"]), 3);
}

function seriesOf(what, snapshot) {
  return snapshot.partitions.map(({id}) => ({
    name: `partition ${id}`,
    points: history.flatMap(({time, partitions}) => {
      const found = partitions.find((part) => part.id === id);
      return found && found[what] !== null ? [[time, found[what]]] : [];
    }),
  }));
}

// Rows of a table: the first cell is the row's head, those from a column on are numbers.
function fill(id, rows, numbersFrom) {
  byId(id).replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    cells.forEach((value, index) => {
      const cell = document.createElement(index ? "td" : "th");
      if (!index) cell.scope = "row";
      if (index >= numbersFrom) cell.className = "number";
      cell.textContent = typeof value === "number" ? value.toLocaleString("en") : value ?? "–";
      row.append(cell);
    });
    return row;
  }));
}

// It is read aloud when it changes; how long it has been so is for the eyes only.
function showTrouble(text, status, seconds = 0) {
  if (byId("trouble-text").textContent !== text) byId("trouble-text").textContent = text;
  byId("trouble-time").textContent = seconds >= 1 ? `(for ${Math.round(seconds)} s)` : "";
  byId("trouble").hidden = false;
  setStatus(status, "bad");
}

function setStatus(text, kind) {
  const place = byId("status");
  if (place.textContent !== text) place.textContent = text;
  place.className = `status ${kind}`;
}

byId("produce").addEventListener("submit", (event) => {
  event.preventDefault();
  byId("produce").querySelector("button").disabled = true;
  byId("answer").textContent = "…";
  feed.send(JSON.stringify({produce: Number(byId("count").value)}));
});

connect();
