# SPDX-License-Identifier: Apache-2.0
# bash completion for postroad and the names it answers to.  Words come from the programs' own help, so that there is no second list.

# The words that a help text explains: "  WORD   what it does", up to the first line that is something else.
_postroad_words() {
	"$@" 2>/dev/null | sed -n '/^  [a-z]/,/^$/{s/^  \([a-z][a-z-]*\) .*/\1/p;/^$/q}'
}

_postroad_options() {
	"$@" --help 2>/dev/null | grep -o -e '--[a-z][a-z-]*' | sort -u
}

_postroad_ids() {
	"$@" --json queue 2>/dev/null | sed -n 's/.*"queue_id": "\([0-9A-F]*\)".*/\1/p'
}

_postroad_settings() {
	"$@" conf -H 2>/dev/null
}

_postroad() {
	local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[0]##*/} words= word verb= i n=0
	local -a postroad=("${COMP_WORDS[0]}")
	COMPREPLY=()
	[ "$command" = postroad ] || postroad=(postroad)
	if [ "$command" = postroad ]; then
		command=
		for ((i = 1; i < COMP_CWORD; i++)); do
			word=${COMP_WORDS[i]}
			case $word in
			-c) postroad+=(-c "${COMP_WORDS[++i]}") ;;
			-*) ;;
			*)
				if [ -z "$command" ]; then command=$word; elif [ -z "$verb" ]; then verb=$word; fi
				n=$((n + 1)) ;;
			esac
		done
	fi
	if [ "$COMP_CWORD" -gt 1 ] && [ "${COMP_WORDS[COMP_CWORD - 1]}" = -c ]; then
		COMPREPLY=($(compgen -d -- "$current"))
		return
	fi
	case $command in
	'') words="$(_postroad_words "${postroad[@]}" help) -c -v --json" ;;
	conf | postconf) words=$(_postroad_settings "${postroad[@]}") ;;
	queue)
		words=$(_postroad_options "${postroad[@]}" queue)
		if [ -z "$verb" ]; then
			words+=" $(_postroad_words "${postroad[@]}" queue --help)"
		else
			words+=" ALL $(_postroad_ids "${postroad[@]}")"
		fi ;;
	explain) words=$(_postroad_ids "${postroad[@]}") ;;
	postsuper | postcat | postqueue) words="ALL $(_postroad_ids "${postroad[@]}")" ;;
	dns) [ "$n" -gt 1 ] && words="A AAAA CNAME MX PTR TLSA TXT" || words= ;;
	postmap | postalias) COMPREPLY=($(compgen -f -- "$current")); return ;;
	*) words=$(_postroad_options "${postroad[@]}" "$command") ;;
	esac
	COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _postroad postroad postconf postsuper postcat postqueue postmap postalias
