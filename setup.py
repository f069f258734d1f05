"""
Packaging of kiel; ``pip install kiel`` needs no compiler, the extras are optional.

The extension in C is built where that can be done. ``KIEL_EXTENSION=1`` makes it an error where it can't, ``0`` does
without it, which gives a wheel for every platform.
"""
import io
import os
import platform
import sys

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

here = os.path.dirname(os.path.abspath(__file__))


def text(*path):
    with io.open(os.path.join(here, *path), encoding="utf-8") as source:
        return source.read()


# kiel/__init__.py imports nothing, so its version can be had before a dependency is installed
package = {}
exec(text("kiel", "__init__.py"), package)

# python-snappy 0.7 stands on cramjam, which has no Python 2; of later cramjams the pip that Python 3.6 comes with knows
# no wheel, and would want a compiler of Rust
snappy = [
    'cramjam; python_version >= "3.7"',
    'cramjam<2.6; python_version >= "3" and python_version < "3.7"',
    'python-snappy<0.7; python_version < "3"',
]
lz4 = ["lz4"]
zstd = ["zstandard"]
crc32c = ["crc32c"]
# built with the headers of MIT Kerberos
gssapi = ["gssapi"]
prometheus = ["prometheus_client"]
# 0.24.1 is the last of Python 2 that needs no compiler
avro = ['fastavro; python_version >= "3"', 'fastavro<0.24.2; python_version < "3"']
jsonschema = ["jsonschema"]
protobuf = ["protobuf"]
# the application brings the SDK; there is nothing for Python 2
opentelemetry = ['opentelemetry-api; python_version >= "3"']
# bars on long work, and completion in a shell
command = ["tqdm", "argcomplete"]


class OptionalBuild(build_ext):
    """What ``optional`` of an extension means, on Python 2.7 too, whose distutils do not know the word."""

    def build_extension(self, extension):
        try:
            build_ext.build_extension(self, extension)
        except Exception as error:
            if wanted == "1":
                raise
            self.extensions = [other for other in self.extensions if other is not extension]  # nothing to copy
            sys.stderr.write("warning: %s could not be built, its loops will run in Python: %s\n" % (
                extension.name, error))


wanted = os.environ.get("KIEL_EXTENSION")
speedups = [Extension("kiel._speedups", ["kiel/speedups.c"])]
speedups[0].optional = wanted != "1"
# what other Pythons make up for with a compiler of their own, C's interface would slow down
if wanted == "0" or (wanted != "1" and platform.python_implementation() != "CPython"):
    speedups = []

setup(
    name="kiel",
    version=package["__version__"],
    description="Kafka client for Tornado asynchronous applications.",
    long_description=text("README.rst"),
    long_description_content_type="text/x-rst",
    author="The kiel maintainers",
    license="Apache-2.0",
    url="https://github.com/wglass/kiel",
    project_urls={
        "Source": "https://github.com/wglass/kiel",
        "Issues": "https://github.com/wglass/kiel/issues",
        "Changelog": "https://github.com/wglass/kiel/blob/master/CHANGELOG.rst",
    },
    packages=find_packages(include=["kiel", "kiel.*"]),
    ext_modules=speedups,
    cmdclass={"build_ext": OptionalBuild},
    # without the extension it is one wheel for every Python
    options={} if speedups else {"bdist_wheel": {"python_tag": "py2.py3"}},
    include_package_data=True,
    package_data={"": ["py.typed", "*.pyi"]},
    exclude_package_data={"kiel": ["*.c"]},
    zip_safe=False,
    entry_points={"console_scripts": ["kiel = kiel.command:main"]},
    python_requires=">=2.7, !=3.0.*, !=3.1.*, !=3.2.*, !=3.3.*, !=3.4.*, !=3.5.*",
    install_requires=[
        "six",
        # kazoo 2.9 and later declare no Python, install on 2.7, and fail there
        'kazoo>=2.8,<2.9; python_version < "3"',
        'kazoo>=2.8; python_version >= "3"',
        'tornado>=4.5,<6; python_version < "3"',
        'tornado>=4.5; python_version >= "3"',
        # names are looked up and recipes of ZooKeeper run on its threads
        'futures; python_version < "3"',
    ],
    extras_require={
        "snappy": snappy,
        "lz4": lz4,
        "zstd": zstd,
        "crc32c": crc32c,
        "gssapi": gssapi,
        "prometheus": prometheus,
        "opentelemetry": opentelemetry,
        "command": command,
        "avro": avro,
        "jsonschema": jsonschema,
        "protobuf": protobuf,
        "schemas": avro + jsonschema + protobuf,
        "all": snappy + lz4 + zstd + crc32c,
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Framework :: AsyncIO",
        "Intended Audience :: Developers",
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX",
        "Programming Language :: Python",
        "Programming Language :: Python :: 2.7",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.6",
        "Programming Language :: Python :: 3.7",
        "Programming Language :: Python :: 3.8",
        "Programming Language :: Python :: 3.9",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: Implementation :: CPython",
        "Topic :: Software Development :: Libraries :: Python Modules",
        "Topic :: System :: Distributed Computing",
        "Typing :: Typed",
    ],
)
