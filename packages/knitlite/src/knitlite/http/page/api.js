// Questions to the WebAPI, with the token when the server wants one. Knows no view.

import { $ } from "./elements.js";

let door; // one question for the token at a time

function askToken(refused) {
  if (refused) $("door-text").textContent = "That token was not accepted. Is it the one in --token-file?";
  door ??= new Promise((resolve) => {
    $("door-form").onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem("token", $("token").value.trim());
      $("token").value = "";
      $("door").close();
      door = undefined;
      resolve();
    };
    $("door").oncancel = (event) => event.preventDefault();
    $("door").showModal();
  });
  return door;
}

export const hasToken = () => Boolean(sessionStorage.getItem("token"));

/** The answer; an Error with the server's own words when it refuses. */
export async function ask(path, signal) {
  const token = sessionStorage.getItem("token");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { headers, signal, cache: "no-store" });
  if (answer.status === 401) {
    // Another question may have brought a newer token meanwhile: only this one was refused.
    if (token === sessionStorage.getItem("token")) await askToken(Boolean(token));
    return ask(path, signal);
  }
  if (answer.ok) return answer;
  const { message } = await answer.json().catch(() => ({}));
  throw new Error(message ?? `the server answered ${answer.status}`);
}

export const askText = async (path, signal) => (await ask(path, signal)).text();
export const askJson = async (path, signal) => (await ask(path, signal)).json();
