#!/bin/sh
# As in tensorflow/serving's image: serves $MODEL_BASE_PATH/$MODEL_NAME on ports 8500 and 8501, and takes further flags.
# A flag that is given replaces the one here: tensorflow_model_server takes each once.
set -eu

is_given() {
  name=$1
  shift
  for flag in "$@"; do
    case $flag in
      "--$name" | "--$name="* | "-$name" | "-$name="*) return 0 ;;
    esac
  done
  return 1
}

is_given port "$@" || set -- --port=8500 "$@"
is_given rest_api_port "$@" || set -- --rest_api_port=8501 "$@"
if ! is_given model_config_file "$@"; then
  is_given model_name "$@" || set -- "--model_name=$MODEL_NAME" "$@"
  is_given model_base_path "$@" || set -- "--model_base_path=$MODEL_BASE_PATH/$MODEL_NAME" "$@"
fi

exec tensorflow_model_server "$@"
