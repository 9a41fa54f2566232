# Bash completion of reprise. Everything it offers comes from the program itself: verbs, flags and their choices from
# --help, policies from `reprise policies`, models from `reprise list`.

_reprise() {
  local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local help top n_arguments=0 i
  local -a verbs=()
  # Bash splits --kv=cake:budget at = and :, and also a choice that holds a =, expand=f16.
  local i_before=$((COMP_CWORD - 1)) choice_begin=''
  if [[ $word == = ]]; then
    word=''
  elif [[ $before == = ]]; then
    i_before=$((COMP_CWORD - 2))
  fi
  if [[ ($before == = || ${COMP_WORDS[COMP_CWORD]} == =) && ${COMP_WORDS[i_before]} != -* ]]; then
    choice_begin=${COMP_WORDS[i_before]}=
    i_before=$((i_before - 1))
    [[ ${COMP_WORDS[i_before]} == = ]] && i_before=$((i_before - 1))
  fi
  before=${COMP_WORDS[i_before]}
  [[ $before == : ]] && return
  top=$("$program" --help 2>/dev/null) || return
  help=$top
  for ((i = 1; i < COMP_CWORD; ++i)); do
    [[ ${COMP_WORDS[i]} == -* ]] && continue
    if ((n_arguments == 0)) && _reprise_verbs "$help" | grep -qxF -- "${COMP_WORDS[i]}"; then
      verbs+=("${COMP_WORDS[i]}")
      help=$("$program" "${verbs[@]}" --help 2>/dev/null)
    else
      n_arguments=$((n_arguments + 1))
    fi
  done

  local offers=''
  if [[ $word == -* ]]; then
    offers=$(grep -ohE '^ +-[^ ]+' <<<"$help"$'\n'"$top" | tr ', ' '\n' | sort -u)
  elif [[ $before == --* ]] && grep -qE -- "^ +(-.,)?$before [^ ]*\{" <<<"$help"; then
    offers=$(grep -oE -- "^ +(-.,)?$before [^ ]*\{[^}]*" <<<"$help" | sed 's/.*{//' | tr , '\n')
  elif [[ $before == --* ]] && grep -qE -- "^ +(-.,)?$before [A-Z]" <<<"$help"; then
    # The kind of a policy is its flag as well: kv/cake goes with --kv.
    offers=$("$program" policies 2>/dev/null | grep -oE "(^|[^a-z])${before#--}/[a-z0-9_]+" | sed 's|.*/||' | sort -u)
  elif _reprise_verbs "$help" | grep -q .; then
    offers=$(_reprise_verbs "$help")
  elif grep -qE '^ +model' <<<"$help"; then
    offers=$("$program" list --json 2>/dev/null | sed -n '/"to_pull"/q; s/^ *"name": "\(.*\)",$/\1/p')
  elif [[ ${verbs[*]} == pull ]]; then
    offers=$("$program" list --json 2>/dev/null | sed -n '/"to_pull"/,$ s/^ *"name": "\(.*\)",$/\1/p')
  elif [[ ${verbs[*]} == policies ]]; then
    offers=$("$program" policies 2>/dev/null | grep -oE '^[a-z]+/[a-z0-9_]+')
  fi
  [[ -n $choice_begin ]] && offers=$(sed -n "s/^$choice_begin//p" <<<"$offers")
  mapfile -t COMPREPLY < <(compgen -W "$offers" -- "$word")
}

# The verbs in the text of --help.
_reprise_verbs() {
  sed -n '/^Subcommands:/,/^$/ s/^  \([a-z]\+\) .*/\1/p' <<<"$1"
}

complete -o bashdefault -o default -F _reprise reprise
