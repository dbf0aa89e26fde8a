#!/usr/bin/env bash
# 200 orders and two workers. Order 137 is poison: it ends in the dead-letter queue, the worker is repaired, the order
# goes round again, and the numbers add up. Needs bash and curl 7.84 or later.
set -euo pipefail
S=http://localhost:8080
Q=$S/v1/queues
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

create() { # queue, settings
  local status
  status=$(curl -s -o "$dir/answer" -w '%{http_code}' -X PUT --json "$2" "$Q/$1")
  [ "$status" = 201 ] || { echo "queue $1 is not new ($status): $(cat "$dir/answer")"; exit 1; }
}
create orders-dlq '{}'
create orders '{"visibilityTimeoutSeconds":10,"deadLetter":{"queue":"orders-dlq","maxReceiveCount":3}}'

# Each line is the body of one message.
for n in $(seq 200); do
  [ "$n" = 137 ] && amount='"twelve"' || amount=$((n * 5))
  echo "{\"order\":$n,\"amount\":$amount}"
done > "$dir/orders.ndjson"
curl -fsS -o "$dir/answer" -H 'content-type: application/x-ndjson' --data-binary @"$dir/orders.ndjson" \
  "$Q/orders/messages/batch"
# Lines fail one by one: 200 says only that some are stored.
grep -q '"failedCount":0}' "$dir/answer" || { echo "not all orders were sent: $(cat "$dir/answer")"; exit 1; }

process() { # file with an order
  grep -q '"amount":[0-9]' "$1" || [ "${repaired:-no}" = yes ]
}
worker() { # name; ends when no order comes for a second
  local order=$dir/order-$1 status receipt
  while read -r status receipt < <(curl -s -o "$order" -w '%{http_code} %header{receipt-url}\n' \
      -X POST "$Q/orders/messages/next?wait=1s") && [ "$status" = 200 ]; do
    if process "$order"; then
      curl -fsS -X DELETE "$receipt"
    else
      curl -fsS -o "$dir/answer-$1" -X POST "$receipt/release?reason=the+amount+is+not+a+number"
    fi
  done
}
work() { worker 1 & worker 2 & wait; }
work

stat() { curl -fsS "$Q/$1/stats" | grep -o "\"$2\": *[0-9]*" | grep -o '[0-9]*$'; }
expect() { # queue, number, value
  [ "$(stat "$1" "$2")" = "$3" ] || { echo "$1: $2 is $(stat "$1" "$2"), not $3"; exit 1; }
  echo "$1: $2 is $3"
}
expect orders deleted 199
expect orders deadLettered 1
expect orders-dlq available 1

# Which order is it, and why? A peek changes nothing.
curl -fsS "$Q/orders-dlq/messages" | tee "$dir/dead"
grep -q '"order": *137' "$dir/dead"
grep -q '"reason": *"the amount is not a number"' "$dir/dead"

# The worker is repaired; the order goes back to where it came from.
repaired=yes
task=$S$(curl -fsS -o "$dir/answer" -w '%header{location}' -X POST "$Q/orders-dlq/redrive")
until curl -fsS "$task" | grep '"status": *"completed"'; do sleep 0.1; done
work

expect orders sent 200
expect orders deleted 200
expect orders deadLettered 1
expect orders available 0
expect orders inFlight 0
expect orders-dlq available 0
curl -fsS -X DELETE "$Q/orders"
curl -fsS -X DELETE "$Q/orders-dlq"
