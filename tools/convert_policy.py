#!/usr/bin/env python3
"""Converts a transformer policy of Diffusion Policy (robot control) to GGUF.

    convert_policy.py CHECKPOINT OUT.gguf [--type f16] [--name TEXT] [--env pusht] [--control-hz 10] [--observation TEXT]
    convert_policy.py latest.ckpt OUT.gguf --trust --env pusht

CHECKPOINT is a safetensors file with the names of the reference's state dict ('model.' and 'normalizer.params_dict.') and
the sizes in its metadata (at least n_head and n_action_steps, of an encoder n_obs_steps, too), or the reference's own .ckpt. A .ckpt is a Python pickle:
reading it EXECUTES CODE FROM THE FILE. Do that only with files of people you trust, and say so with --trust.

    python3 -m venv .venv && .venv/bin/pip install numpy gguf==0.19.0     # and torch dill, for .ckpt
    .venv/bin/python tools/convert_policy.py policy.safetensors models/pusht/pusht-demo.gguf --env pusht --name pusht-demo

Matrices of the layers and of the condition encoder take --type, the other tensors F16 where --type f16 or q8_0 loses
nothing by it, else F32.

Read past: masks, `_dummy_variable` of every module, mean and std of the normaliser's data. A configuration's value may point to
another one by its name, as in `${n_action_steps}`.

Refused, with the reason: forms other than the decoder with time and observations as conditions and n_cond_layers = 0, and
the encoder without any conditions; missing, misshapen or unknown tensors, values that are no finite numbers, a normaliser that cannot be undone, other noise
schedules than squaredcos_cap_v2, predictions other than epsilon and sample, policies trained with pred_action_steps_only.
"""

import argparse
import pathlib
import sys

try:
    import gguf
    import numpy
except ImportError as missing:
    sys.exit(f"{__doc__}\nerror: {missing}; python3 -m venv .venv && .venv/bin/pip install numpy gguf==0.19.0")

import policy_checkpoint
import safetensors_file
import torch_checkpoint
from policy_checkpoint import Noise, Policy, PolicyError
from whole_file import whole_file

Kind = gguf.GGMLQuantizationType
TYPES = {"f32": Kind.F32, "f16": Kind.F16, "q8_0": Kind.Q8_0}


def integer(path: pathlib.Path, metadata: dict[str, str], key: str, given: int | None) -> int:
    if given is not None:
        return given
    if key not in metadata:
        raise PolicyError(f"{path}: the metadata have no '{key}', which no tensor tells; give --{key.replace('_', '-')}")
    try:
        return int(metadata[key])
    except ValueError:
        raise PolicyError(f"{path}: '{key}' of the metadata is {metadata[key]!r}, expected an integer") from None


def boolean(path: pathlib.Path, metadata: dict[str, str], key: str, default: str = "true") -> bool:
    text = metadata.get(key, default).lower()
    if text not in ("true", "false"):
        raise PolicyError(f"{path}: '{key}' of the metadata is {text!r}, expected true or false")
    return text == "true"


def read_safetensors(path: pathlib.Path, n_head: int | None, n_action_steps: int | None,
                     n_obs_steps: int | None = None) -> Policy:
    found = safetensors_file.read_files([path])
    metadata = safetensors_file.read_metadata(path)
    own = policy_checkpoint.own_tensors(path, found)
    tensors = {name: tensor.values() for name, tensor in own.items()}
    shapes = {name: values.shape for name, values in tensors.items()}
    policy_checkpoint.check_slice(path, boolean(path, metadata, "pred_action_steps_only", "false"))
    if policy_checkpoint.is_encoder_only(shapes):
        n_obs_steps = integer(path, metadata, "n_obs_steps", n_obs_steps)
    sizes = policy_checkpoint.sizes_of(path, shapes, integer(path, metadata, "n_head", n_head),
                                       integer(path, metadata, "n_action_steps", n_action_steps),
                                       boolean(path, metadata, "causal_attn"), n_obs_steps)
    for key in ("n_layer", "n_emb", "horizon", "n_obs_steps"):
        if key in metadata and integer(path, metadata, key, None) != getattr(sizes, key):
            raise PolicyError(f"{path}: the metadata say {key} = {metadata[key]}, the tensors {getattr(sizes, key)}")
    noise = {key: metadata[key] for key in ("beta_schedule", "prediction_type", "variance_type") if key in metadata}
    if "num_train_timesteps" in metadata:
        noise["num_train_timesteps"] = integer(path, metadata, "num_train_timesteps", None)
    return Policy(path, sizes, Noise(**noise, clip_sample=boolean(path, metadata, "clip_sample")), tensors)


def type_of(name: str, values: numpy.ndarray, wanted: Kind) -> Kind:
    """What is added or scaled stays exact, the matrices take the wanted type."""
    if wanted == Kind.F32 or name.startswith("norm."):
        return Kind.F32
    if values.ndim == 2 and name.startswith(("decoder.", "encoder.")):
        return wanted
    is_exact = (numpy.abs(values).max() <= 65504 and numpy.array_equal(values.astype("f2").astype("f4"), values))
    return Kind.F16 if is_exact else Kind.F32


def encoded(path: pathlib.Path, name: str, values: numpy.ndarray, kind: Kind) -> numpy.ndarray:
    if kind == Kind.F16 and numpy.abs(values).max() > 65504:
        raise PolicyError(f"{path}: tensor '{name}' has values beyond F16 (65504); choose --type f32")
    n_block = gguf.GGML_QUANT_SIZES[kind][0]
    if values.shape[-1] % n_block != 0:
        raise PolicyError(f"{path}: tensor '{name}' has rows of {values.shape[-1]} values, {kind.name} has blocks of {n_block}; "
                          "choose --type f16")
    return gguf.quants.quantize(numpy.ascontiguousarray(values, "f4"), kind)


def add_description(writer: gguf.GGUFWriter, policy: Policy, about: dict[str, object]) -> None:
    sizes, noise = policy.sizes, policy.noise
    if about.get("name"):
        writer.add_name(about["name"])
    if about.get("licence"):
        writer.add_license(about["licence"])
    writer.add_string("dp.arch", "transformer")
    for key, value in (("n_layer", sizes.n_layer), ("n_head", sizes.n_head), ("n_emb", sizes.n_emb),
                       ("horizon", sizes.horizon), ("n_obs_steps", sizes.n_obs_steps),
                       ("n_action_steps", sizes.n_action_steps), ("obs_dim", sizes.obs_dim),
                       ("action_dim", sizes.action_dim), ("scheduler.train_steps", noise.num_train_timesteps)):
        writer.add_uint32(f"dp.{key}", value)
    writer.add_bool("dp.causal", sizes.causal)
    writer.add_bool("dp.encoder_only", sizes.encoder_only)
    writer.add_string("dp.scheduler.beta_schedule", noise.beta_schedule)
    writer.add_string("dp.scheduler.prediction_type", noise.prediction_type)
    writer.add_bool("dp.scheduler.clip_sample", noise.clip_sample)
    writer.add_string("dp.scheduler.variance_type", noise.variance_type)
    for key in ("env", "observation"):
        if about.get(key):
            writer.add_string(f"dp.{key}", about[key])
    writer.add_float64("dp.control_hz", about.get("control_hz", 10.0))


def convert(policy: Policy, out: pathlib.Path, kind: str, about: dict[str, object] | None = None) -> None:
    """Writes out, complete or absent. about: name, licence, env, observation, control_hz. Throws PolicyError."""
    about = about or {}
    policy_checkpoint.check(policy)
    if not 0 < about.get("control_hz", 10.0) < float("inf"):
        raise PolicyError(f"{policy.path}: a control rate of {about['control_hz']} Hz, expected a number above 0")
    with whole_file(out) as part:
        writer = gguf.GGUFWriter(part, "dp")
        try:
            add_description(writer, policy, about)
            for name in policy_checkpoint.expected_tensors(policy.sizes):
                values = policy.tensors[name]
                tensor_type = type_of(name, values, TYPES[kind])
                writer.add_tensor(name, encoded(policy.path, name, values, tensor_type), raw_dtype=tensor_type)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=pathlib.Path, metavar="CHECKPOINT", help="*.safetensors, or *.ckpt with --trust")
    parser.add_argument("out", type=pathlib.Path, metavar="OUT.gguf")
    parser.add_argument("--type", choices=TYPES, default="f16", help="type of the matrices (default: %(default)s)")
    parser.add_argument("--trust", action="store_true", help="read a .ckpt, which executes code from the file")
    parser.add_argument("--n-head", type=int, metavar="N", help="where the checkpoint does not say it")
    parser.add_argument("--n-action-steps", type=int, metavar="N", help="actions executed of a chunk, likewise")
    parser.add_argument("--n-obs-steps", type=int, metavar="N", help="observations seen, likewise, without a decoder")
    parser.add_argument("--env", help="environment that the policy was trained in (pusht)")
    parser.add_argument("--control-hz", type=float, default=10.0, metavar="HZ", help="actions a second (default: %(default)s)")
    parser.add_argument("--observation", help="what an observation is, for the file's metadata")
    parser.add_argument("--name", help="the model's name, for the file's metadata")
    parser.add_argument("--licence", help="SPDX name, for the file's metadata")
    args = parser.parse_args()
    about = {key: getattr(args, key) for key in ("name", "licence", "env", "observation", "control_hz")
             if getattr(args, key) is not None}
    try:
        if args.checkpoint.suffix == ".safetensors":
            policy = read_safetensors(args.checkpoint, args.n_head, args.n_action_steps, args.n_obs_steps)
        elif args.trust:
            policy = torch_checkpoint.read(args.checkpoint, args.n_head, args.n_action_steps, args.n_obs_steps)
        else:
            raise PolicyError(f"{args.checkpoint}: reading a file other than safetensors executes code from it; if you trust "
                              "whoever made it, add --trust")
        convert(policy, args.out, args.type, about)
    except (PolicyError, safetensors_file.SafetensorsError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{args.out}: {args.out.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
