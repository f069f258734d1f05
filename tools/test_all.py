#!/usr/bin/env python3
"""
Runs kiel's tests in every supported interpreter that this machine has, and says which it lacks.

Unit tests run in each environment of tox.ini, and in each other supported Python that is found; the tests against
real Kafka brokers run on Python 2.7 and on the newest Python. What is missing is named; it is a failure where
``KIEL_STRICT=1`` or ``CI=true`` is set. Needs nothing but the standard library.

    python3 tools/test_all.py [--unit | --integration] [--jobs N] [ENV ...]
"""
import argparse
import configparser
import glob
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CACHE = os.path.join(ROOT, ".cache")

#: what kiel supports, oldest first
SUPPORTED = ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
#: which of them may host the tox that still makes Python 2.7, best first
HOSTS = ("3.11", "3.10", "3.9", "3.8", "3.12", "3.13", "3.7")
TOX = ("tox<4.6", "virtualenv<20.22")
#: failed tests of an environment that are run again alone; more than that is no accident
MOST_AGAIN = 5
#: Which environments begin first where they run side by side: those that take longest, of each kind. Python 3.13 reads
#: the stubs and builds the packages, too; by the time it begins there is the 2.7 that it shares a group with.
FIRST = ("py313-integration", "py27-integration", "py27", "py27-tornado45", "py313", "py311")
#: Processes that share out the tests of an environment where several run side by side: those with brokers take longest,
#: and wait most of that time.
WORKERS = {"py313-integration": "2"}
#: seconds between signs of life of environments that run side by side
SIGN_OF_LIFE = 20

STRICT = (os.environ.get("KIEL_STRICT", "") not in ("", "0")
          or os.environ.get("CI", "").lower() in ("1", "true"))


def say(text):
    print(text, flush=True)


# --- interpreters ----------------------------------------------------------------------------

def places():
    """Directories that may hold interpreters: those of PATH, then those of every Python that pyenv has."""
    found = os.environ.get("PATH", "").split(os.pathsep)
    pyenv = os.environ.get("PYENV_ROOT") or os.path.join(os.path.expanduser("~"), ".pyenv")
    return found + sorted(glob.glob(os.path.join(pyenv, "versions", "*", "bin")))


def version_of(path):
    """The "X.Y" of an interpreter, and its full version; None when it doesn't run, as a pyenv shim without one."""
    code = "import sys; print('%d.%d %d.%d.%d' % (sys.version_info[:2] + sys.version_info[:3]))"
    try:
        out = subprocess.check_output([path, "-c", code], stderr=subprocess.DEVNULL, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return tuple(out.decode().split()) or None


def interpreters():
    """{"X.Y": (path, "X.Y.Z")} of every supported interpreter on this machine."""
    found = {}
    for wanted in SUPPORTED:
        for place in places():
            path = os.path.join(place, "python" + wanted)
            if os.access(path, os.X_OK):
                version = version_of(path)
                if version and version[0] == wanted:
                    found[wanted] = (path, version[1])
                    break
    own = "%d.%d" % sys.version_info[:2]
    if own in SUPPORTED and own not in found:
        found[own] = (sys.executable, "%d.%d.%d" % sys.version_info[:3])
    return found


def version_of_env(env):
    """"py27-tornado45" -> "2.7"."""
    digits = re.match(r"py(\d)(\d+)", env)
    return "%s.%s" % digits.groups()


# --- environments ----------------------------------------------------------------------------

def listed_envs():
    """tox.ini's own list: what has to be there for a release."""
    ini = configparser.ConfigParser(interpolation=None)
    ini.read(os.path.join(ROOT, "tox.ini"))
    return [name.strip() for name in re.split(r"[,\n]", ini["tox"]["env_list"]) if name.strip()]


def plan(found, unit, integration):
    """The environments to run and those that can't be: ([env], [(env, reason)])."""
    run, lacking = [], []
    if unit:
        envs = listed_envs()
        if not STRICT:
            others = ("py" + version.replace(".", "") for version in SUPPORTED)
            envs += [env for env in others if env not in envs and version_of_env(env) in found]
        for env in envs:
            version = version_of_env(env)
            if version in found:
                run.append(env)
            else:
                lacking.append((env, "no Python %s" % version))
    if integration:
        newest = [version for version in SUPPORTED if version in found][-1:]
        wanted = ["py27-integration", "py313-integration" if STRICT or not newest else
                  "py%s-integration" % newest[0].replace(".", "")]
        for env in sorted(set(wanted)):
            missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
            if version_of_env(env) not in found:
                lacking.append((env, "no Python %s" % version_of_env(env)))
            elif missing:
                lacking.append((
                    env, "no %s: apt-get install openjdk-17-jdk-headless maven" % " and no ".join(missing)
                ))
            else:
                run.append(env)
    return run, lacking


def tox(found):
    """Path of a tox that makes every supported Python; its virtualenv is made on first use."""
    host = next((version for version in HOSTS if version in found), None)
    if host is None:
        sys.exit("No Python that tox runs on: one of %s is needed." % ", ".join(HOSTS))
    home = os.path.join(CACHE, "tox-" + host)
    program = os.path.join(home, "bin", "tox")
    if not os.path.exists(program):
        say("-- making a virtualenv for tox with Python %s (once, some ten seconds)" % host)
        shutil.rmtree(home, ignore_errors=True)
        if subprocess.call([found[host][0], "-m", "venv", home]):
            sys.exit("`python3 -m venv` failed; on Debian and Ubuntu: apt-get install python3-venv")
        subprocess.check_call(
            [os.path.join(home, "bin", "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            + list(TOX)
        )
    return program


def build_settings():
    """Which packages can be built here, as the variables that tox.ini reads."""
    settings = {}
    if shutil.which("gcc") or shutil.which("cc"):
        if shutil.which("krb5-config"):
            settings["KIEL_GSSAPI"] = "gssapi"
        settings["KIEL_CRC32C27"] = "crc32c<2.5"
        if any(os.path.exists(place + "/snappy-c.h") for place in ("/usr/include", "/usr/local/include")):
            settings["KIEL_SNAPPY27"] = "python-snappy<0.7"
        if STRICT:
            settings["KIEL_EXTENSION"] = "1"  # but for the environments that are to run without it
    return settings


def other_python(env):
    """For Python 3.13, the 2.7 that was made before it: they share a group in one test."""
    path = os.path.join(ROOT, ".tox", "py27", "bin", "python")
    return {"KIEL_OTHER_PYTHON": path} if env == "py313" and os.path.exists(path) else {}


def settings_of(env, jobs):
    """The variables of one environment that runs among so many."""
    settings = other_python(env)
    if jobs > 1 and env in WORKERS:
        settings["KIEL_WORKERS"] = WORKERS[env]
    return settings


# --- running ---------------------------------------------------------------------------------

class Run(object):
    """One tox environment: its process, its log, its outcome."""

    def __init__(self, env, command, environ, stream, suffix=""):
        self.env = env
        self.stream = stream
        self.log = os.path.join(CACHE, "test", env + suffix + ".log")
        self.begun = time.time()
        self.seconds = 0
        self.status = None
        os.makedirs(os.path.dirname(self.log), exist_ok=True)
        self.out = open(self.log, "wb")
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE if stream else self.out,
        )

    def follow(self):
        """Shows and keeps what the process prints, until its end."""
        while True:
            piece = os.read(self.process.stdout.fileno(), 65536)
            if not piece:
                break
            self.out.write(piece)
            sys.stdout.buffer.write(piece)
            sys.stdout.flush()
        self.process.wait()

    def done(self):
        """Whether the process has ended; notes its status then."""
        if self.process.poll() is None:
            return False
        self.out.close()
        self.status = self.process.returncode
        self.seconds = time.time() - self.begun
        return True

    @property
    def lines(self):
        """What was printed, without colours."""
        with open(self.log, "rb") as log:
            text = log.read().decode("utf-8", "replace")
        return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()

    @property
    def summary(self):
        """pytest's closing line, such as "812 passed, 3 skipped in 21.40s"."""
        said = [line.strip("= ") for line in self.lines
                if re.search(r"\b\d+ (passed|failed|errors?)\b.* in [\d.]+ ?s", line)]
        return said[-1] if said else "no tests were run"

    @property
    def speedups(self):
        """Which of kiel's loops the tests ran: what ``kiel.speedups`` said at their end."""
        said = [line.split(": ", 1)[1] for line in self.lines if line.startswith("speedups: ")]
        return said[-1] if said else "not told"


def run_all(envs, command, environ, jobs, suffix=""):
    """Runs the environments, `jobs` at a time; gives the list of `Run`, in their order."""
    waiting, running, finished = list(envs), [], []
    shown = time.time()
    while waiting or running:
        while waiting and len(running) < jobs:
            env = waiting.pop(0)
            say("\n== %s (%d of %d)" % (env, len(envs) - len(waiting), len(envs)))
            running.append(Run(env, command(env), dict(environ, **settings_of(env, jobs)), jobs == 1, suffix))
        if jobs == 1:
            running[0].follow()
        for run in [run for run in running if run.done()]:
            running.remove(run)
            finished.append(run)
            if jobs > 1 and run.status:
                say("\n".join(run.lines[-150:]))
            outcome = "FAILED" if run.status else "ok"
            say("== %s %s after %d s: %s" % (run.env, outcome, run.seconds, run.summary))
        if jobs > 1 and running:
            if time.time() - shown > SIGN_OF_LIFE:
                shown = time.time()
                for run in running:
                    say("   %s runs since %d s: %s" % (
                        run.env, time.time() - run.begun, (run.lines or ["..."])[-1][-100:]
                    ))
            time.sleep(0.2)
    return sorted(finished, key=lambda run: envs.index(run.env))


def failed_tests(run):
    """The tests that failed in a run, as pytest names them."""
    return [line.split(" ", 1)[1].split(" - ")[0].strip() for line in run.lines
            if re.match(r"(FAILED|ERROR) \S+::", line)]


def again(runs, command, environ):
    """
    Gives the few tests that failed a second chance, alone: beside another environment, on a machine that is short of
    processors, a time limit may be missed. What passes then is named, so that it is seen and mended.
    """
    notes = []
    for run in runs:
        tests = failed_tests(run) if run.status else []
        if not 0 < len(tests) <= MOST_AGAIN:
            continue
        say("\n== %s again, alone: %s" % (run.env, " ".join(tests)))
        second = run_all([run.env], lambda env: command(env) + ["--"] + tests, environ, 1, ".again")[0]
        if second.status == 0:
            run.status = 0
            notes.append("   %-20s PASSED ONLY WHEN RUN AGAIN, ALONE: %s" % (run.env, " ".join(tests)))
    return notes


def total(runs):
    """The sum of all summaries, in pytest's own form."""
    counts = {}
    for run in runs:
        for number, word in re.findall(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed)", run.summary):
            word = word.replace("errors", "error")
            if not run.status and word in ("failed", "error"):
                word = "passed"  # in its second run
            counts[word] = counts.get(word, 0) + int(number)
    order = ("failed", "passed", "skipped", "xfailed", "xpassed", "error")
    parts = ["%d %s" % (counts[word], word) for word in order if counts.get(word)]
    return "==== %s in %.1fs ====" % (", ".join(parts) or "no tests", sum(run.seconds for run in runs))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("envs", nargs="*", metavar="ENV", help="tox environments; default: all that can be run")
    parser.add_argument("--unit", action="store_true", help="no brokers")
    parser.add_argument("--integration", action="store_true", help="only the tests against brokers")
    parser.add_argument("--jobs", type=int, default=1, help="environments side by side (default 1)")
    args = parser.parse_args()

    found = interpreters()
    say("-- interpreters")
    for version in SUPPORTED:
        say("   Python %-5s %s" % (version, "%s  %s" % (found[version][1], found[version][0])
                                   if version in found else "not found"))
    if args.envs:
        envs, lacking = args.envs, []
    else:
        envs, lacking = plan(found, not args.integration, not args.unit)
    for env, reason in lacking:
        say("   not run: %s (%s)" % (env, reason))
    if any(reason.startswith("no Python") for _, reason in lacking):
        say("   Interpreters come from pyenv (`pyenv install 2.7.18`) or the system's packages, and are looked for on"
            " PATH and in ~/.pyenv/versions.")
    if lacking and STRICT:
        say("FAILED: %s can't be run, and KIEL_STRICT or CI is set." % ", ".join(env for env, _ in lacking))
        return 1

    program = tox(found)
    paths = [path for path, _ in found.values()]
    environ = dict(build_settings(), **os.environ)

    def command(env):
        """What runs one environment."""
        return [program, "run", "-e", env, "--discover"] + paths

    if args.jobs > 1:
        envs.sort(key=lambda env: ("integration" not in env, FIRST.index(env) if env in FIRST else len(FIRST)))
    runs = run_all(envs, command, environ, max(1, args.jobs))
    notes = again(runs, command, environ)
    closing = ["-- summary"]
    for run in runs:
        closing.append("   %-20s %-6s %s; loops in %s" % (
            run.env, "FAILED" if run.status else "ok", run.summary, run.speedups))
    for env, reason in lacking:
        closing.append("   %-20s not run: %s" % (env, reason))
    closing.extend(notes)
    closing.append(total(runs))
    say("\n" + "\n".join(closing))
    with open(os.path.join(CACHE, "test", "summary"), "w") as summary:
        summary.write("\n".join(closing) + "\n")
    return 1 if any(run.status for run in runs) or not runs else 0


if __name__ == "__main__":
    sys.exit(main())
