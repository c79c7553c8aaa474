#!/bin/sh
# Makes the ledger once, and gives each role a folder with the genesis and its own key alone. May be run again at any time: what
# is there stays as it is, and what an interrupted run left is finished.
#   COIN      what `orebook init --coin` takes
#   SITE      the folder that keeps every key, the approvers' and the desk's too: back it up, then take it off the machine
#   ROLES     folder with one folder for each role
set -eu
umask 077
: "${COIN:=litecoin-regtest}" "${SITE:=/site}" "${ROLES:=/roles}"

if [ ! -e "$SITE/pool/ledger/segments" ]; then
  rm -rf "$SITE/pool.new"
  orebook init --data "$SITE/pool.new" --coin "$COIN" --gateways 2 --archivers 2
  rm -rf "$SITE/pool"
  mv "$SITE/pool.new" "$SITE/pool"
fi

# role FOLDER [KEY]
role() {
  [ ! -e "$ROLES/$1/ledger" ] || return 0
  rm -rf "$ROLES/$1/keys" "$ROLES/$1/ledger.new"
  mkdir -p "$ROLES/$1"
  if [ -n "${2:-}" ]; then
    mkdir "$ROLES/$1/keys"
    cp -p "$SITE/pool/keys/$2" "$ROLES/$1/keys/$2"
  fi
  cp -Rp "$SITE/pool/ledger" "$ROLES/$1/ledger.new"
  sync
  # The last step: a folder that has it has everything.
  mv "$ROLES/$1/ledger.new" "$ROLES/$1/ledger"
}

for number in 1 2; do
  role "gateway-$number" "gateway-$number.key"
  role "archiver-$number" "archiver-$number.key"
done
role settler settler.key
role paymaster paymaster.key
role desk desk.key
role projector
