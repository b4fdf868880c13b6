"""Examples in the help of verbs and of their actions. Each can be pasted into a shell."""

from __future__ import annotations

__all__ = ["ACTIONS", "EXAMPLES", "action_help", "format_examples"]

WIDTH = 80

Examples = tuple[tuple[str, str], ...]

LR_RANGE = "'optimizer.lr=tag(log,interval(1e-4,1e-1))'"

EXAMPLES: dict[str, Examples] = {
    "train": (
        ("runner train", "the default config"),
        ("runner train photos", "a folder with a subfolder for each class"),
        ("runner train data=csv data.path=houses.csv data.target=price task=regression", "a table"),
        ("runner train model=resnet34 data=catsdogs pretrained=true transfer=finetune", "transfer learning"),
        ("runner train my_experiment.yaml optimizer.lr=0.01", "an experiment with one value changed"),
        ("runner train -m model=mlp,logistic 'seed=range(3)'", "six runs in turn (Hydra's multirun)"),
        ("runner train model=mlp data=digits folds=5", "cross-validation; repeat it to resume"),
        ("runner train run.name=mine resume=auto", "resume the run of that name, or start it"),
        ("runner train model=mlp --cfg job", "only print the config"),
    ),
    "find-lr": (
        ("runner find-lr model=mlp data=digits optimizer=sgd", "print and plot the suggestions"),
        ("runner find-lr my_experiment.yaml lr_finder.num_steps=200", "a longer test"),
        ("runner train my_experiment.yaml optimizer.lr=auto", "test, then train with the suggested rate"),
    ),
    "sweep": (
        (f"runner sweep model=mlp data=digits {LR_RANGE} sweep.num_trials=50", "50 trials"),
        ("runner sweep model=mlp,logistic 'optimizer.lr=1e-3,1e-2' sweep=grid", "all combinations"),
        (f"runner sweep sweep=asha sweep.num_workers=4 {LR_RANGE}", "four workers, and early pruning"),
        ("runner sweep sweep=nsga2 'sweep.objectives={val/loss:min,num_parameters:min}' "
         "'model.hidden_sizes=[8],[64]'", "two objectives"),
        (f"runner sweep folds=5 sweep.pruner=wilcoxon {LR_RANGE}", "by the mean of five folds"),
        ("runner sweep --join latest sweep.num_workers=2", "two more workers, from here or another machine"),
        ("runner report latest", "a page with all plots"),
    ),
    "resume": (
        ("runner resume latest", "bit-identical to an uninterrupted run"),
        ("runner resume latest data.num_workers=4", "execution settings may change"),
        ("runner resume latest trainer.max_epochs=40", "train longer; also for a finished run"),
        ("runner resume latest optimizer.lr=1e-4", "for the rest of the training"),
    ),
    "reproduce": (
        ("runner reproduce latest", "train it again and compare the results"),
    ),
    "evaluate": (
        ("runner evaluate latest", "metrics of the best checkpoint on the test split"),
        ("runner evaluate latest --split val --checkpoint last", "another split and checkpoint"),
        ("runner evaluate latest data.root=other/photos", "on other data"),
        ("runner evaluate latest --json", "for programs"),
    ),
    "predict": (
        ("runner predict latest photo.jpg", "a file"),
        ("runner predict latest photos --output predictions.csv", "a folder, as a table"),
        ("runner predict latest 'See you at noon'", "a text"),
        ("runner predict latest --prompt 'ROMEO:' --temperature 0.8", "continue it with a language model"),
    ),
    "explain": (
        ("runner explain latest", "samples of the validation split, with the default method"),
        ("runner explain latest photo.jpg --method grad_cam", "a file"),
        ("runner explain latest --samples 20 --worst", "the samples with the highest loss"),
        ("runner explain latest --method permutation", "importance of columns"),
    ),
    "embed": (
        ("runner embed latest", "vectors of the validation split, and plots"),
        ("runner embed latest --split test --output vectors", "another split and folder"),
    ),
    "landscape": (
        ("runner landscape latest", "a plane of two filter-normalized random directions"),
        ("runner landscape latest --directions pca", "the plane of the largest changes during training"),
        ("runner landscape latest --one-dimensional --distance 2", "along one direction"),
        ("runner landscape latest --checkpoint best --to last", "on the line between two checkpoints"),
    ),
    "runs": (
        ("runner runs", "the newest 20"),
        ("runner runs --last 0 --state failed", "all that failed"),
        ("runner runs --json", "for programs"),
    ),
    "compare": (
        ("runner compare RUN OTHER", "differences of configs and results"),
    ),
    "report": (
        ("runner report latest", "write the page"),
        ("runner report latest --open", "write it and open it in the browser"),
    ),
    "ui": (
        ("runner ui", "the dashboard of ./runs"),
        ("runner ui --root other/runs --port 5001 --open", "another folder; opens the browser"),
    ),
    "sync": (
        ("runner sync latest", "send what the tracking store lacks"),
        ("runner sync --all", "all runs"),
        ("runner sync --all --uri http://127.0.0.1:5000", "to another store"),
    ),
    "list": (
        ("runner list", "all groups and options"),
        ("runner list model", "each option of a group"),
        ("runner list scheduler --plot schedules.png", "learning rates of all schedules"),
    ),
    "config": (
        ("runner config show model=mlp data=digits", "the composed config"),
        ("runner config check my_experiment.yaml", "all problems, without running it"),
        ("runner config schema optimizer", "every key of a node"),
    ),
    "data": (
        ("runner data list", "all data sets"),
        ("runner data inspect photos", "facts of a folder, and the command to train"),
        ("runner data verify image_folder data.root=photos", "find broken files"),
    ),
    "doctor": (
        ("runner doctor", "check the installation, the machine and the folders"),
    ),
    "completion": (
        ('eval "$(runner completion bash)"', "in this shell"),
    ),
}  # fmt: skip
"""Verb → pairs of command and comment."""

ACTIONS: dict[str, dict[str, tuple[str, Examples]]] = {
    "config": {
        "show": (
            "Prints the config that a command line composes, or that of a run, as YAML.",
            (
                ("runner config show model=mlp data=digits optimizer.lr=0.01", ""),
                ("runner config show latest", "the config of a run"),
                ("runner config show model=mlp scheduler=one_cycle --plot-schedule lr.png", "its schedule"),
                ("runner config show model=mlp --json", "for programs"),
            ),
        ),
        "check": (
            "Checks the config of a command line or a run and reports all problems, without running it.",
            (
                ("runner config check model=mlp data=digits optimizer.lr=0.01", ""),
                ("runner config check my_experiment.yaml", ""),
            ),
        ),
        "schema": (
            "Lists every key with type, value and default. Words without = select nodes.",
            (
                ("runner config schema optimizer regularization", "two nodes"),
                ("runner config schema model model=resnet34", "the node of another option"),
                ("runner config schema --json", "all nodes, for programs"),
            ),
        ),
    },
    "data": {
        "list": ("Lists the data sets with their tasks.", (("runner data list", ""),)),
        "prepare": (
            "Downloads a data set, verifies its checksum and unpacks it.",
            (
                ("runner data prepare mnist", ""),
                ("runner data prepare cifar10 data.data_dir=/data", "into another folder"),
            ),
        ),
        "inspect": (
            "Shows sizes, classes, statistics and automatic choices, saves an image of samples, and prints\n"
            "the command to train.",
            (
                ("runner data inspect digits", "short for data=digits"),
                ("runner data inspect photos", "a folder"),
                ("runner data inspect houses.csv data.target=price --json", "a table, for programs"),
            ),
        ),
        "verify": (
            "Reads every sample and lists broken ones.",
            (
                ("runner data verify image_folder data.root=photos", ""),
                ("runner data verify image_folder data.root=photos --set-aside", "exclude them"),
            ),
        ),
    },
    "sweep": {
        "best": (
            "Prints the config of the best trial of a sweep, which `runner train` can run.",
            (
                ("runner sweep best", "of the newest sweep"),
                ("runner sweep best latest --output best.yaml", "write it into a file"),
            ),
        ),
        "show": (
            "Prints the trials of a sweep, best first.",
            (("runner sweep show latest", ""), ("runner sweep show latest --json", "for programs")),
        ),
        "list": (
            "Lists all sweeps.",
            (("runner sweep list", ""), ("runner sweep list --root other/runs", "in another folder")),
        ),
    },
}  # fmt: skip
"""Verb → action → description and examples."""


def format_examples(examples: Examples) -> str:
    """Return the lines of examples, with comments that a shell ignores, in up to 80 columns if possible."""
    width = max(len(command) for command, _ in examples)
    fits = width + max(len(comment) for _, comment in examples) + 6 <= WIDTH
    lines = ["examples:"]
    for command, comment in examples:
        if fits or not comment:
            lines.append(f"  {command:<{width}}  # {comment}" if comment else f"  {command}")
        else:
            lines += [f"  # {comment}", f"  {command}"]
    return "\n".join(lines)


def action_help(verb: str, action: str) -> str:
    """Return the help of an action, such as ``runner config check``."""
    text, examples = ACTIONS[verb][action]
    rest = f"`runner {verb} --help` lists the options."
    return f"usage: runner {verb} {action} …\n\n{text}\n\n{format_examples(examples)}\n\n{rest}"
