"""A browser without a window, driven over the WebDriver protocol of chromedriver.

Needs Debian's chromium and chromium-driver, and nothing else. Use it as a context manager.
"""

import base64
import json
import shutil
import tempfile
import urllib.request

from ports import free_port
from programs import Program
from waiting import wait_until


def missing():
    """What has to be installed first, or an empty string."""
    names = {"chromium": "chromium", "chromedriver": "chromium-driver"}
    return " and ".join(package for name, package in names.items() if not shutil.which(name))


class Browser:
    def __init__(self, width=1280, height=1000, dark=False, script=True):
        self.profile = tempfile.mkdtemp(prefix="rondo-browser-")
        self.port = free_port()
        self.session = None
        self.driver = Program(["chromedriver", f"--port={self.port}"], self.port)
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                     "--disable-dev-shm-usage", f"--user-data-dir={self.profile}",
                     f"--window-size={width},{height}"]
        options = {"binary": shutil.which("chromium"), "args": arguments}
        if not script:
            options["prefs"] = {"profile.managed_default_content_settings.javascript": 2}
        try:
            wait_until("chromedriver is ready", lambda: self._call("GET", "/status")["ready"])
            answer = self._call("POST", "/session", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome", "goog:chromeOptions": options}}})
            self.session = answer["sessionId"]
            self._cdp("Emulation.setDeviceMetricsOverride", {
                "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
            if dark:
                self._cdp("Emulation.setEmulatedMedia", {
                    "features": [{"name": "prefers-color-scheme", "value": "dark"}]})
        except Exception:
            self.close()
            raise

    def _call(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def _cdp(self, command, parameters):
        return self._call("POST", f"/session/{self.session}/goog/cdp/execute",
                          {"cmd": command, "params": parameters})

    def open(self, url):
        self._call("POST", f"/session/{self.session}/url", {"url": url})

    def run(self, script):
        """The value of a JavaScript function body."""
        return self._call("POST", f"/session/{self.session}/execute/sync",
                          {"script": script, "args": []})

    def source(self):
        return self._call("GET", f"/session/{self.session}/source")

    def text(self, selector):
        """What can be read there; also where no script may run."""
        found = self._call("POST", f"/session/{self.session}/element",
                           {"using": "css selector", "value": selector})
        element = next(iter(found.values()))
        return self._call("GET", f"/session/{self.session}/element/{element}/text")

    def picture(self, path):
        """The whole document as a PNG file."""
        shot = self._cdp("Page.captureScreenshot", {"format": "png",
                                                    "captureBeyondViewport": True})
        with open(path, "wb") as out:
            out.write(base64.b64decode(shot["data"]))

    def close(self):
        try:
            if self.session:
                self._call("DELETE", f"/session/{self.session}")
        except OSError:
            pass
        self.driver.stop()
        shutil.rmtree(self.profile, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()
        return False
