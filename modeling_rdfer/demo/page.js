// Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
// The video stays in the browser. A copy is sent when the visitor presses the button.
window.rdfer = (() => {
  const MAX_RECORD_SECONDS = 20;
  let chosen = null; // the chosen video: {file, name, url, refused}
  let answered = null; // the video of the answer on the page
  let video, say, maxBytes, maxSeconds;
  let recorder = null;

  const show = (text) => { say.textContent = text; };

  function choose(file, name) {
    if (chosen) URL.revokeObjectURL(chosen.url);
    const mine = { file, name, url: URL.createObjectURL(file), refused: file.size > maxBytes ? "too_large" : "" };
    chosen = mine;
    const size = file.size < 1e5 ? "under 0.1 MB" : `${(file.size / 1048576).toFixed(1)} MB`;
    show(`${name}, ${size}`);
    video.onloadedmetadata = () => {
      if (chosen !== mine || !isFinite(video.duration)) return; // a recording has no duration yet
      if (video.duration > maxSeconds) mine.refused = "too_long";
      show(`${name}, ${size}, ${video.duration.toFixed(1)} s`);
    };
    video.onerror = () => {
      if (chosen !== mine) return;
      video.hidden = true;
      show(`${name}, ${size}. Your browser cannot play it, but the model may be able to read it.`);
    };
    video.srcObject = null;
    video.src = mine.url;
    video.controls = true;
    video.hidden = false;
    video.closest(".rdfer-drop").classList.add("filled");
  }

  const take = (file, name) => (recorder ? show("Stop the recording first.") : choose(file, name));

  async function record(button) {
    if (recorder) { recorder.stop(); return; }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" }, audio: false });
    } catch (error) {
      show("The camera cannot be used. There is none, or the browser does not allow it.");
      return;
    }
    const parts = [];
    recorder = new MediaRecorder(stream);
    recorder.ondataavailable = (event) => parts.push(event.data);
    const timer = setTimeout(() => recorder.stop(), MAX_RECORD_SECONDS * 1000);
    recorder.onstop = () => {
      clearTimeout(timer);
      stream.getTracks().forEach((track) => track.stop());
      const type = recorder.mimeType.split(";")[0];
      recorder = null;
      button.textContent = "Record";
      button.classList.remove("recording");
      choose(new Blob(parts, { type }), "Recording");
    };
    video.removeAttribute("src");
    video.srcObject = stream;
    video.controls = false;
    video.hidden = false;
    video.closest(".rdfer-drop").classList.add("filled");
    video.play();
    recorder.start();
    button.textContent = "Stop recording";
    button.classList.add("recording");
    show(`Recording. It stops after ${MAX_RECORD_SECONDS} seconds.`);
  }

  function input(element, bytes, seconds) {
    [maxBytes, maxSeconds] = [bytes, seconds];
    video = element.querySelector("video");
    say = element.querySelector(".rdfer-name");
    const drop = element.querySelector(".rdfer-drop");
    const picker = element.querySelector("input[type=file]");
    picker.addEventListener("change", () => {
      if (picker.files.length) take(picker.files[0], picker.files[0].name);
      picker.value = ""; // so that the same file can be chosen again
    });
    picker.parentElement.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); picker.click(); }
    });
    for (const kind of ["dragenter", "dragover"])
      drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.add("over"); });
    for (const kind of ["dragleave", "drop"])
      drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.remove("over"); });
    drop.addEventListener("drop", (event) => {
      const file = event.dataTransfer.files[0];
      if (file) take(file, file.name);
    });
    element.querySelector("[data-do=record]").addEventListener("click", (event) => record(event.currentTarget));
    element.querySelector("[data-do=example]").addEventListener("click", async () => {
      show("Loading the example.");
      const response = await fetch(new URL("rdfer/example.mp4", document.baseURI));
      take(await response.blob(), "Example");
    });
    const follow = () => {
      if (!video.paused) requestAnimationFrame(follow);
      if (moveCursor && chosen === answered) moveCursor(video.currentTime);
    };
    for (const kind of ["play", "seeked", "timeupdate"]) video.addEventListener(kind, follow);
  }

  // Sends the chosen video. Returns its token, or the key of the message that says why there is none.
  function send() {
    answered = chosen;
    if (!chosen) return Promise.resolve("");
    if (chosen.refused) return Promise.resolve(chosen.refused);
    const text = say.textContent;
    return new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.open("POST", new URL("rdfer/upload", document.baseURI));
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.upload.onprogress = (event) => show(`Sending: ${Math.round((100 * event.loaded) / event.total)} %`);
      request.onloadend = () => {
        show(text);
        let reply = {};
        try { reply = JSON.parse(request.responseText); } catch (error) { /* no reply, or a page of a proxy */ }
        resolve(reply.upload || reply.refused || "failed");
      };
      request.send(chosen.file);
    });
  }

  let moveCursor = null;

  const percent = (score) => (score > 0.99 ? "> 99 %" : score < 0.01 ? "< 1 %" : `${Math.round(100 * score)} %`);

  function output(element, watch) {
    const bind = () => {
      moveCursor = null;
      const plot = element.querySelector(".rdfer-plot");
      if (!plot) return;
      const { first, last, edges, windows } = JSON.parse(plot.dataset.timeline);
      const slider = plot.querySelector("input");
      const line = plot.querySelector(".rdfer-cursor");
      const at = element.querySelector(".rdfer-at");
      moveCursor = (seconds) => {
        seconds = Math.min(Math.max(seconds, first), last);
        slider.value = seconds;
        line.style.left = `${(100 * (seconds - first)) / (last - first)}%`;
        let index = edges.findIndex((edge) => edge > seconds) - 1;
        if (index < 0) index = windows.length - 1;
        const here = windows[index];
        const picture = at.querySelector("img");
        picture.style.visibility = here.picture ? "visible" : "hidden";
        if (here.picture && picture.src !== here.picture) picture.src = here.picture;
        at.style.borderColor = here.colour;
        at.querySelector(".rdfer-time").textContent = `${seconds.toFixed(1)} s: ${here.label || "no face"}`;
        const best = Object.entries(here.scores || {}).sort((a, b) => b[1] - a[1]).slice(0, 3);
        at.querySelector(".rdfer-reading").textContent =
          best.map(([label, score]) => `${label} ${percent(score)}`).join(", ");
        slider.setAttribute("aria-valuetext", at.querySelector(".rdfer-time").textContent);
      };
      slider.addEventListener("input", () => {
        const seconds = Number(slider.value);
        moveCursor(seconds);
        if (chosen && chosen === answered && video.readyState) { video.pause(); video.currentTime = seconds; }
      });
      moveCursor(chosen && chosen === answered ? video.currentTime : first);
    };
    watch("value", bind);
  }

  // Sends pictures of the camera, each after the answer to the one before, and shows what the server says.
  function live(element) {
    const SIDE = 480, PAUSE = 80; // longer side of a picture in pixels; milliseconds, about twelve pictures a second
    const canvas = element.querySelector("canvas");
    const button = element.querySelector("[data-do=live]");
    const tell = (text) => { element.querySelector(".rdfer-name").textContent = text; };
    const answer = element.querySelector(".rdfer-answer");
    const camera = document.createElement("video");
    const picture = document.createElement("canvas");
    [camera.muted, camera.playsInline] = [true, true];
    let socket = null, stream = null, box = null;

    function stop(text) {
      if (stream) stream.getTracks().forEach((track) => track.stop());
      if (socket) { socket.onclose = socket.onmessage = null; socket.close(); }
      socket = stream = box = null;
      canvas.hidden = answer.hidden = true;
      element.querySelector(".rdfer-drop").classList.remove("filled");
      button.textContent = "Start the camera";
      button.classList.remove("recording");
      tell(text);
    }

    function draw() {
      if (!stream) return;
      [canvas.width, canvas.height] = [camera.videoWidth || 640, camera.videoHeight || 480];
      const context = canvas.getContext("2d");
      context.drawImage(camera, 0, 0, canvas.width, canvas.height);
      if (box) {
        const [scale, [x1, y1, x2, y2]] = [canvas.width / box.width, box.edges];
        [context.lineWidth, context.strokeStyle] = [3, "#56B4E9"];
        context.strokeRect(scale * x1, scale * y1, scale * (x2 - x1), scale * (y2 - y1));
      }
      requestAnimationFrame(draw);
    }

    function sendPicture() {
      if (!socket || socket.readyState !== WebSocket.OPEN) return;
      const scale = Math.min(1, SIDE / Math.max(camera.videoWidth, camera.videoHeight));
      [picture.width, picture.height] = [camera.videoWidth, camera.videoHeight].map((n) => Math.round(scale * n));
      picture.getContext("2d").drawImage(camera, 0, 0, picture.width, picture.height);
      const mine = socket;
      picture.toBlob((blob) => { if (mine === socket) mine.send(blob); }, "image/jpeg", 0.85);
    }

    function show(all) {
      const newest = Math.max(...all.map((window) => window.end_seconds));
      const windows = all.filter((window) => window.end_seconds === newest); // one for each person
      const window = windows.reduce((a, b) => (area(b) > area(a) ? b : a));
      box = window.box && { edges: window.box, width: window.frame_size[0] };
      answer.hidden = false;
      answer.dataset.label = window.label;
      answer.querySelector("h2").textContent = window.label;
      answer.querySelector("ol").replaceChildren(...window.predictions.slice(0, 8).map(({ label, score }) => {
        const [item, name, bar, fill, number] = ["li", "span", "i", "b", "em"].map((tag) => document.createElement(tag));
        name.textContent = label;
        fill.style.width = `${100 * score}%`;
        fill.style.background = "var(--color-accent)";
        number.textContent = percent(score);
        bar.append(fill);
        item.append(name, bar, number);
        return item;
      }));
      tell(windows.length > 1 ? `${windows.length} people; the answer is about the largest face.` : "");
    }

    const area = ({ box: edges }) => (edges ? (edges[2] - edges[0]) * (edges[3] - edges[1]) : 0);

    async function start() {
      button.disabled = true;
      try {
        stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" }, audio: false });
      } catch (error) {
        stop("The camera cannot be used. There is none, or the browser does not allow it.");
        return;
      } finally {
        button.disabled = false;
      }
      camera.srcObject = stream;
      await camera.play();
      canvas.hidden = false;
      element.querySelector(".rdfer-drop").classList.add("filled");
      button.textContent = "Stop the camera";
      button.classList.add("recording");
      tell("Looking for a face.");
      draw();
      const address = new URL("rdfer/live", document.baseURI);
      address.protocol = address.protocol.replace("http", "ws");
      socket = new WebSocket(address);
      let quietSince = Date.now();
      socket.onclose = () => stop("The connection to the server ended.");
      socket.onmessage = (event) => {
        const message = JSON.parse(event.data);
        if (message.error && !("frame" in message)) { stop(message.error.message); return; }
        if ((message.windows || []).length) { show(message.windows); quietSince = Date.now(); }
        else if (Date.now() - quietSince > 2000) { answer.hidden = true; box = null; tell("No face is seen."); }
        setTimeout(sendPicture, PAUSE); // the first message is a greeting
      };
    }

    button.addEventListener("click", () => (stream ? stop("") : start()));
  }

  return { input, output, send, live };
})();
