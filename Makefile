# What a person types. Each target makes the virtual environment it needs, from Python and pip alone;
# diptych itself runs from the tree.
VENV ?= .venv
BENCH ?= .venv-bench
PYTHON ?=
export PYTHON
# Compiled modules are kept, or every start would compile the tree again.
unexport PYTHONDONTWRITEBYTECODE

DIPTYCH = PYTHONPATH=src $(VENV)/bin/python -m diptych

.PHONY: help demo test lint bench docs venv clean

help:
	@echo "make demo    train two digits classifiers and a small GPT from examples/ with diptych run"
	@echo "make test    run the tests"
	@echo "make lint    ruff, mypy, the layering and file-size rules"
	@echo "make bench   install the peers in $(BENCH) and time the benchmarks on every engine"
	@echo "make docs    build the documentation site in site/"

venv:
	@tools/venv.sh $(VENV) demo scipy vision tensorboard safetensors dev

demo: venv
	@mkdir -p out
	$(DIPTYCH) run examples/digits_mlp.py --plot out/digits_mlp.png
	$(DIPTYCH) run examples/digits_cnn.py --plot out/digits_cnn.png
	$(DIPTYCH) run examples/gpt.py --plot out/gpt.png

test: venv
	$(VENV)/bin/python -m pytest -q -m "not slow" $(TESTS)

lint: venv
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest -q tests/test_layering.py tests/test_file_size.py tests/test_docs.py

bench: venv
	@tools/venv.sh $(BENCH) -- torch tensorflow-cpu jax scikit-learn
	@mkdir -p out
	$(DIPTYCH) bench --peers $(BENCH)/bin/python $(CASES) \
		--json out/bench.json --markdown out/bench.md --chart out/bench.png \
		benchmarks/spine_torch.py benchmarks/spine_jax.py benchmarks/spine_tensorflow.py \
		benchmarks/spine_numpy.py benchmarks/training_torch.py benchmarks/training_jax.py \
		benchmarks/training_tensorflow.py benchmarks/data_loader.py benchmarks/start_torch.py "examples/digits_mlp.py --steps 1"

docs:
	@tools/venv.sh .venv-docs docs
	.venv-docs/bin/mkdocs build --strict

clean:
	rm -rf out site build dist
