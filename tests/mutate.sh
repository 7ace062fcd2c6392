#!/bin/bash
# Removes one rule at a time from a copy of the tree, and runs the test that docs/security.md names for it: the test
# must fail. Prints a table; fails if a removal went unnoticed, or if a rule is not where the table says.
#
#   tests/mutate.sh [PATTERN]     only the rules whose name matches this regular expression
#
# By hand: it takes some ten minutes. Only the crate channel/ is built, in a temporary folder.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
only=${1:-}
work=$(mktemp -d "${TMPDIR:-/tmp}/mutate.XXXXXX")
trap 'rm -rf "$work"' EXIT
tree=$work/tree
mkdir "$tree"
git -C "$root" ls-files -z -- Cargo.toml Cargo.lock channel docs tests/common |
    (cd "$root" && tar --null -T - -cf -) | tar -xf - -C "$tree"
# The channel's crate alone: its workspace, without the plugin.
perl -0pi -e 's/\[package\].*?(?=\[profile)//s' "$tree/Cargo.toml"
export CARGO_TARGET_DIR=$work/target
tried=0
bad=0

# Runs a test; the words say what came of it.
outcome() {
    local target=$1 name=$2 log=$work/log
    (cd "$tree/channel" && cargo test -q --test "$target" --no-run) >"$log" 2>&1 || {
        echo "DOES NOT BUILD"
        return
    }
    # A rule that is gone may also mean a loop that does not end.
    if (cd "$tree/channel" && timeout 120 cargo test -q --test "$target" -- "$name") >"$log" 2>&1; then
        if grep -qE '^test result: ok\. [1-9]' "$log"; then echo "SURVIVED"; else echo "NO SUCH TEST"; fi
    else
        echo "noticed"
    fi
}

# mutate RULE FILE PERL-SUBSTITUTION TARGET TEST
mutate() {
    local rule=$1 file=$tree/channel/src/$2 change=$3 target=$4 name=$5 found
    [[ $rule =~ $only ]] || return 0
    cp "$file" "$work/kept"
    perl -0pi -e "$change" "$file"
    if cmp -s "$file" "$work/kept"; then
        found="NO SUCH RULE"
    else
        found=$(outcome "$target" "$name")
    fi
    # Newer than what was built of the changed one.
    cat "$work/kept" >"$file"
    tried=$((tried + 1))
    [[ $found == noticed ]] || bad=$((bad + 1))
    printf '%-62s %-66s %s\n' "$rule" "$name" "$found"
}

printf '%-62s %-66s %s\n' RULE TEST "ITS REMOVAL"

# Payments.
mutate "the sighash byte is 0x83" payment.rs 's/if kind != PAYMENT_SIGHASH \{/if false {/' \
    hostile a_signature_with_another_sighash_byte_is_not_even_one
mutate "a payment's signature is verified" payment.rs 's/\.map_err\(\|_\| PaymentError::Signature\(cumulative\)\)\?;/.ok();/' \
    hostile a_signature_of_another_state_is_refused
mutate "a payment's signature is verified (annex, leaf)" payment.rs 's/\.map_err\(\|_\| PaymentError::Signature\(cumulative\)\)\?;/.ok();/' \
    hostile a_signature_with_an_annex_or_for_another_leaf_is_refused
mutate "a payment signs version 3" payment.rs 's/Version = Version\(3\)/Version = Version(2)/' \
    hostile a_signature_over_another_transaction_is_refused
mutate "a payment signs sequence 0xfffffffd" payment.rs 's/= Sequence::ENABLE_RBF_NO_LOCKTIME/= Sequence::MAX/' \
    hostile a_signature_over_another_transaction_is_refused
mutate "no payment lower than the balance" provider/paying.rs 's/Some\(_\) if cumulative < balance/Some(_) if false \&\& cumulative < balance/' \
    hostile a_lower_payment_is_answered_and_the_best_one_stays
mutate "change is never below dust" contract.rs 's/\(value >= CHANGE_DUST\)\.then/(value >= Amount::ZERO).then/' \
    hostile no_more_can_be_paid_than_the_channel_holds
mutate "a payment names the session's channel" provider/paying.rs 's/if outpoint != open\.channel\.outpoint\(\) \{/if false {/' \
    hostile a_payment_of_another_channel_is_none_here
mutate "an old channel pays no more after a rollover" provider/paying.rs 's/if outpoint != open\.channel\.outpoint\(\) \{/if false {/' \
    hostile after_a_rollover_the_old_channel_pays_no_more
mutate "an ended session hears nothing" provider/session.rs 's/if self\.has_ended\(\) \{/if false {/' \
    hostile a_payment_after_the_close_is_not_heard
mutate "no rollover from an unconfirmed channel" provider/paying.rs 's/if !open\.is_confirmed\(self\.config\.min_confirmations\) \{/if false {/' \
    hostile the_next_channel_pays_only_once_the_present_one_is_confirmed
mutate "the first payment is at least the opening" provider/paying.rs 's/if cumulative < self\.opening \{/if false {/' \
    session the_first_payment_covers_its_settlement
mutate "a cooperative close pays its miner, now" cooperative.rs 's/least\.is_none_or\(\|least\| fee < least\)/false/' \
    hostile a_cooperative_close_that_nobody_would_mine_is_not_taken
mutate "what is worth settling is not closed" cooperative.rs 's/if balance > most \{/if false {/' \
    hostile a_cooperative_close_of_a_balance_worth_settling_is_not_taken
mutate "a close never takes more than a small balance" cooperative.rs 's/\.map_or\(MAX_CLOSING_BALANCE, \|cost\| cost\.min\(MAX_CLOSING_BALANCE\)\)/.unwrap_or(MAX_CLOSING_BALANCE)/' \
    hostile a_cooperative_close_of_a_balance_worth_settling_is_not_taken
mutate "one close a channel" provider/closing.rs 's/\|\| outpoints\.len\(\) < offers\.len\(\)//; s/offers\.len\(\) > self\.open_channels\(\)\.count\(\)/false/' \
    hostile one_message_makes_one_close_a_channel_at_most
mutate "no close of what nobody knows" provider/closing.rs 's/if !open\.is_known\(\) \{/if false {/' \
    hostile what_nobody_knows_is_not_closed
mutate "no estimate is believed beyond twice the last" fee_belief.rs 's/estimate\.min\(times\(self\.grown\(height\), JUMP\)\)/estimate/' \
    fee_belief one_estimate_is_believed_up_to_twice_the_last
mutate "what is believed rises by a doubling an hour" fee_belief.rs 's/estimate\.min\(self\.grown\(height\)\), height\.max/estimate, height.max/' \
    fee_belief a_rise_that_lasts_is_followed_by_a_doubling_an_hour
mutate "a commitment is small" commitment.rs 's/if weight > MAX_COMMITMENT_WEIGHT \{/if false {/' \
    hostile a_commitment_that_costs_servers_much_or_can_never_be_valid_opens_nothing
mutate "a commitment could be valid" commitment.rs 's/if !is_possible\(transaction\) \{/if false {/' \
    hostile a_commitment_that_costs_servers_much_or_can_never_be_valid_opens_nothing
mutate "a cooperative close pays the whole balance" cooperative.rs 's/if self\.balance < balance \{/if false {/' \
    hostile a_cooperative_close_for_less_is_not_taken

# Opening.
mutate "the keys of a channel differ" keys.rs 's/if consumer == provider \{/if false {/' hostile a_key_that_is_none_opens_nothing
mutate "change goes to a version-1 program" script.rs 's/if script\.is_p2tr\(\) \{/if true {/' \
    hostile a_change_script_other_than_a_version_1_program_opens_nothing
mutate "the refund delay is 144 to 4,032 blocks" blocks.rs 's/MIN_REFUND_DELAY\.\.=MAX_REFUND_DELAY => Ok/0..=u16::MAX => Ok/' \
    hostile a_refund_delay_out_of_bounds_opens_nothing
mutate "the refund delay is within the terms" provider/opening.rs 's/if delay < shortest \|\| delay > longest \{/if false {/' \
    hostile a_refund_delay_out_of_bounds_opens_nothing
mutate "the capacity is within the terms" provider/opening.rs 's/if capacity < min \|\| capacity > max/if false/' \
    hostile a_capacity_out_of_bounds_opens_nothing
mutate "a commitment has version 2" commitment.rs 's/if transaction\.version != Version::TWO \{/if false {/' \
    hostile a_commitment_that_differs_from_what_was_agreed_opens_nothing
mutate "a commitment has not 64 bytes" commitment.rs 's/if transaction\.base_size\(\) == AMBIGUOUS_SIZE \{/if false {/' \
    hostile a_transaction_that_could_pose_as_a_merkle_node_opens_nothing
mutate "a commitment's id is fixed" commitment.rs 's/i\.witness\.is_empty\(\) \|\| i\.script_sig != ScriptBuf::new\(\)/false \&\& i.witness.is_empty()/' \
    hostile a_commitment_that_differs_from_what_was_agreed_opens_nothing
mutate "a commitment is final" commitment.rs 's/check_final\(transaction, height\)\?;//' \
    hostile a_commitment_that_differs_from_what_was_agreed_opens_nothing
mutate "a commitment has the agreed value" commitment.rs 's/if output\.value != contract\.capacity\(\) \{/if false {/' \
    hostile a_commitment_that_differs_from_what_was_agreed_opens_nothing
mutate "a commitment has the agreed script" commitment.rs 's/if output\.script_pubkey != \*channel\.script\(\)\.script_pubkey\(\) \{/if false {/' \
    hostile a_script_that_gives_the_consumer_another_way_out_opens_nothing
mutate "a commitment that vanished counts nothing" provider/state.rs 's/CommitmentStatus::Missing => Some\(Amount::ZERO\)/CommitmentStatus::Missing => None/' \
    hostile a_commitment_that_is_replaced_or_spent_pays_for_nothing_more
mutate "unconfirmed money counts up to its limit" provider/account.rs 's/self\.limit\.map_or\(self\.balance, \|limit\| self\.balance\.min\(limit\)\)/self.balance/' \
    hostile a_commitment_that_never_confirms_counts_up_to_its_limit_only
mutate "the limit over all sessions is kept" provider/confirming.rs 's/open\.unconfirmed_limit = open\.unconfirmed_limit\.min\(limit\);/let _ = (open, limit);/' \
    hostile a_limit_that_others_have_used_up_opens_no_gate
mutate "what no network takes uses up no limit" provider/confirming.rs 's/ && open\.status != CommitmentStatus::Missing\)/)/' \
    hostile a_commitment_that_no_network_takes_takes_nothing_from_the_limit_of_others

# Sessions.
mutate "a message has 65,536 bytes at most" message/codec.rs 's/if text\.len\(\) > MAX_MESSAGE \{/if false {/' \
    hostile what_is_no_message_ends_a_session_in_every_state
mutate "unknown fields are ignored whatever is in them" message/codec.rs 's/\.or_else\(\|_\| serde_json::from_str\(&readable\(text\)\?\)\)//' \
    wire_text fields_that_are_not_known_are_ignored_whatever_is_in_them
mutate "a known field that cannot be read is no null" message/tolerant.rs 's/UNREADABLE: &str = "\{\}"/UNREADABLE: &str = "null"/' \
    wire_text a_known_field_stands_once_and_is_what_it_should_be
mutate "a flood ends a session" liveness.rs 's/None => return false,/None => (),/' hostile a_flood_of_any_message_ends_a_session
mutate "resuming again and again is a flood" liveness.rs 's/None => return false,/None => (),/' \
    hostile a_hundred_resumes_a_second_end_a_session_and_move_nothing
mutate "hello has a time limit" provider/session.rs 's/State::AwaitHello => \(HELLO_TIMEOUT,/State::AwaitHello => (Duration::MAX,/' \
    hostile a_consumer_that_only_idles_is_let_go_from_every_state
mutate "the commitment has a time limit" provider/session.rs 's/State::Accepted\(_\) => \(COMMITMENT_TIMEOUT,/State::Accepted(_) => (Duration::MAX,/' \
    hostile a_consumer_that_only_idles_is_let_go_from_every_state
mutate "a channel without credit has a time limit" provider/session.rs 's/\(since\.saturating_add\(config\.settle_delay\), EndReason::Starved\)/(Duration::MAX, EndReason::Starved)/' \
    hostile a_consumer_that_only_idles_is_let_go_from_every_state
mutate "who is silent is gone" provider/session.rs 's/if self\.liveness\.is_gone\(now\) &&/if false \&\& self.liveness.is_gone(now) \&\&/' \
    hostile a_consumer_that_falls_silent_is_gone_from_every_state
mutate "an unknown message is only answered" fault.rs 's/\(C::UnknownType, R::Answer\)/(C::UnknownType, R::Close)/' \
    hostile an_unknown_message_is_answered_in_every_state
mutate "a message out of place is only answered" fault.rs 's/\(C::Unexpected, R::Answer\)/(C::Unexpected, R::Close)/' \
    hostile steps_left_out_or_repeated_are_answered_and_change_nothing
mutate "what is no message ends a session" fault.rs 's/\(C::Malformed, R::Close\)/(C::Malformed, R::Answer)/' \
    hostile what_is_no_message_ends_a_session_in_every_state
mutate "a resumed channel is proved" provider/resuming.rs 's/if !proven \|\|/if false \&\& proven ||/' \
    hostile a_proof_made_for_another_connection_resumes_nothing
mutate "nobody else resumes a channel" provider/resuming.rs 's/if !proven \|\|/if false \&\& proven ||/' \
    lasting nobody_resumes_another_ones_channel
mutate "a proof is for one connection" resume.rs 's/\.bytes\(self\.provider_nonce\.as_bytes\(\)\)//' \
    lasting a_challenge_binds_every_part_of_the_connection
# shellcheck disable=SC2016 # Perl's $1, not the shell's.
mutate "debt stays" provider/account.rs 's/(fn restore.*?)Meter::new\(self\.rate, consumed\)/$1Meter::new(self.rate, Msat::ZERO)/s' \
    hostile debt_is_not_left_behind_on_another_connection
mutate "who commits to nothing has nothing at stake" provider/stake.rs 's/if open\.status == CommitmentStatus::Missing => Stake::Nothing/if open.status == CommitmentStatus::Missing => Stake::Commitment/' \
    hostile who_has_money_locked_has_more_at_stake_than_who_talks
mutate "who has committed has most at stake" provider/stake.rs 's/State::Resuming\(_\) => Stake::Commitment/State::Resuming(_) => Stake::Nothing/' \
    hostile who_has_money_locked_has_more_at_stake_than_who_talks

# Providers.
mutate "a count beyond the drift bound is refused" consumer/purse.rs 's/if consumed > \(Drift/if false \&\& consumed > (Drift/' \
    hostile a_count_beyond_the_drift_bound_is_never_paid
mutate "accept has a time limit" consumer/session.rs 's/\(CHANNEL_TIMEOUT, ConsumerEnd::TimedOut\("accepting/(Duration::MAX, ConsumerEnd::TimedOut("accepting/' \
    hostile a_provider_that_never_accepts_costs_nothing
mutate "terms have a time limit" consumer/session.rs 's/\(TERMS_TIMEOUT,/(Duration::MAX,/' hostile a_provider_that_sends_no_terms_is_left
mutate "nothing is paid before the acknowledgement" consumer/paying.rs 's/if !open\.channel\.acknowledged \|\| !playing \{/if !playing {/' \
    hostile a_provider_that_never_acknowledges_the_commitment_is_paid_nothing
mutate "no rate above max-rate" consumer/policy.rs 's/if terms\.rate > self\.max_rate \{/if false {/' \
    hostile a_raised_price_or_longer_window_is_refused_where_it_exceeds_the_bounds
mutate "no window above max-window" consumer/policy.rs 's/if terms\.window\(\) > self\.max_window \{/if false {/' \
    hostile a_raised_price_or_longer_window_is_refused_where_it_exceeds_the_bounds
mutate "no opening above max-opening" consumer/policy.rs 's/if terms\.opening > max \{/if false {/' \
    session terms_beyond_the_policy_are_refused_and_said
mutate "no opening above the budget" consumer/policy.rs 's/if terms\.opening > self\.budget \{/if false {/' \
    hostile a_provider_that_refuses_to_resume_again_and_again_earns_no_more_than_the_budget
mutate "what a provider forgets stays spent" consumer/resuming.rs 's/candidate\.spent\.min\(purse\.total\(\)\)/candidate.spent/' \
    hostile forgetting_what_earlier_channels_paid_earns_no_second_budget
mutate "an aging channel is used first" consumer/renewing.rs 's/ && self\.purse\.has_used_opening\(now\)//' \
    hostile a_depth_that_is_no_depth_earns_one_opening_payment_at_a_time
mutate "the price stays for the next channel" agreement.rs 's/\("rate", \*rate == self\.rate\)/("rate", true)/' \
    lasting a_price_raised_in_mid_stream_is_refused_and_said
mutate "resumed is held against the own signature" consumer/resuming.rs 's/Some\(signature\) => Payment::check\(channel, resumed\.balance, signature\)\.map\(\|_\| \(\)\)\?,/Some(_) => (),/' \
    lasting a_provider_that_lies_about_the_account_is_left
mutate "resumed is held against the own carried credit" consumer/resuming.rs 's/if resumed\.carried != record\.carried && !carried_unknown \{/if false {/' \
    lasting a_provider_that_lies_about_the_account_is_left
mutate "terms are signed by the link's key" terms.rs 's/\.map_err\(\|_\| TermsError::Signature\)\?;/.ok();/' \
    session terms_of_somebody_else_lock_no_money
mutate "terms can't be changed on the way" terms.rs 's/\.map_err\(\|_\| TermsError::Signature\)\?;/.ok();/' \
    session terms_changed_on_the_way_lock_no_money
mutate "terms are for this very connection" terms.rs 's/self\.provider_certificate != expected\.certificates\.peer/false/' \
    session terms_of_somebody_else_lock_no_money
mutate "terms answer this hello" terms.rs 's/if self\.consumer_nonce != expected\.nonce \{/if false {/' session replayed_terms_lock_no_money

mutate "a provider's nonsense ends a session" fault.rs 's/\(C::Malformed, R::Close\)/(C::Malformed, R::Answer)/' \
    hostile nothing_of_a_provider_is_taken_for_a_message_that_is_none

# New rates.
mutate "a new rate is signed by the link's key" rate_offer.rs 's/\.map_err\(\|_\| TermsError::RateSignature\)\?;/.ok();/' \
    hostile a_rate_that_the_links_key_has_not_signed_for_this_session_is_not_taken
mutate "a new rate is for this session" rate_offer.rs 's/\.bytes\(terms\.provider_nonce\.as_bytes\(\)\)//' \
    hostile a_rate_that_the_links_key_has_not_signed_for_this_session_is_not_taken
mutate "a new rate is not zero" rate_offer.rs 's/if self\.rate\.is_free\(\) \{/if false {/' \
    hostile a_paid_session_does_not_become_free_by_an_offer
mutate "no new rate above max-rate" consumer/repricing.rs 's/match self\.policy\.judge_price\(&repriced\) \{/match Ok::<(), Refusal>(()) {/' \
    hostile a_rate_above_the_bounds_is_never_counted_or_paid
mutate "a new rate comes after the last" consumer/repricing.rs 's/if offer\.number <= last \{/if false {/' \
    hostile an_old_offer_that_is_replayed_changes_nothing
mutate "three new rates at once are a flood" consumer/repricing.rs 's/if before\.is_some_and\(/if false \&\& before.is_some_and(/' \
    hostile a_flood_of_rates_ends_a_session
mutate "no new rate that was not agreed to" consumer/repricing.rs 's/accepted\.filter\(\|offer\| offer\.number == number\)/accepted.or(self.repricing.asked)/' \
    hostile a_rate_that_nobody_took_is_not_changed_to
mutate "the dearer rate counts until the new rate is debited" consumer/repricing.rs 's/rate\.max\(accepted\.unwrap_or_default\(\)\)/accepted.unwrap_or(rate)/' \
    repricing until_the_provider_says_so_the_dearer_rate_counts
mutate "the dearest rate is kept in mind after a new rate" consumer/resuming.rs 's/purse\.has_counted_at\(record\.rate\);//' \
    repricing what_was_on_its_way_at_the_old_rate_is_believed_when_the_channel_goes_on_at_a_lower_one
mutate "an answer to a new rate names an offer" provider/repricing.rs 's/Some\(open\) if number == open\.number => \{/Some(open) => {/' \
    hostile an_answer_to_a_rate_that_was_never_offered_changes_nothing
mutate "a new rate is answered once" provider/repricing.rs 's/\(self\.open, self\.unanswered, self\.taken\) = \(None, None, number\);/self.taken = number;/' \
    hostile an_answer_that_is_repeated_changes_nothing
mutate "a new rate that was replaced is not taken" provider/repricing.rs 's/Some\(open\) if number == open\.number => \{/Some(open) if number <= open.number => {/' \
    hostile an_old_answer_does_not_take_a_later_and_lower_rate_for_another
mutate "a new rate has a time limit" provider/repricing.rs 's/late\.then_some\(EndReason/(late \&\& false).then_some(EndReason/' \
    repricing a_consumer_that_does_not_answer_is_let_go_and_settled
mutate "new rates keep their distance" provider/repricing.rs 's/if now < self\.repricing\.not_before\(\) \{/if false {/' \
    repricing offers_keep_their_distance_and_the_last_rate_that_was_set_counts
mutate "the application is asked about the terms (new rate)" consumer/authorizing.rs 's/if agreed\.is_some_and\(\|agreed\| agreed\.continues\(&terms, stage\)\.is_ok\(\)\)/if true || agreed.is_some()/' \
    authorizing an_application_that_says_no_has_committed_and_paid_nothing
mutate "the application is asked about a new rate" consumer/repricing.rs 's/Ok\(\(\)\) if unchanged =>/Ok(()) if true || unchanged =>/' \
    authorizing an_application_that_refuses_a_new_rate_ends_the_session
mutate "a word holds for the terms, new rate or opening" agreement.rs 's/!owes_opening \|\| \*opening <= self\.opening/true/' \
    authorizing a_word_on_what_resuming_costs_is_none_on_a_dearer_opening
mutate "nothing is opened at a rate that nobody agreed to" consumer/authorizing.rs 's/if self\.asked \|\| self\.repricing\.coming\(\)\.is_some\(\) \{/if false {/' \
    authorizing a_word_on_a_cheaper_rate_is_none_on_that_of_the_terms
mutate "a question is about all that is offered" consumer/authorizing.rs 's/asked\.rate = self\.repricing\.coming\(\)/asked.rate = None::<Rate>/' \
    authorizing a_word_on_a_dearer_opening_is_none_on_a_rate_that_was_asked_about_before
mutate "a taken rate is on record first" consumer/repricing.rs 's/self\.record_rate\(now, out\);//' \
    repricing a_taken_rate_is_on_record_before_the_provider_can_read_that_it_is
mutate "who answers no new rate is let go" provider/repricing.rs 's/ANSWER_TIMEOUT\.min\(last\.saturating_sub\(now\)\)/ANSWER_TIMEOUT/' \
    repricing who_never_answers_is_let_go_though_the_rate_changes_again_and_again
mutate "nobody is let go over the rate in force" provider/repricing.rs 's/if rate == in_force \{/if false {/' \
    repricing nobody_is_let_go_over_the_rate_in_force

# What was agreed.
mutate "the opening is paid once" consumer/resuming.rs 's/true => Amount::ZERO,\n\s*false => terms\.opening,/_ => terms.opening,/' \
    agreement a_channel_that_goes_on_owes_no_opening_payment_again
mutate "an opening that is owed still is judged" consumer/authorizing.rs 's/false => self\.judged\(\)\.judge_opening\(terms, record\.contract\.capacity\(\)\),/false => Ok(()),/' \
    agreement an_opening_payment_that_is_owed_still_is_judged_when_it_is_raised
mutate "worse terms are asked about (confirmations)" agreement.rs 's/\*min_confirmations <= self\.min_confirmations/true/' \
    agreement terms_that_are_worse_are_asked_about_before_a_channel_goes_on
mutate "worse terms are asked about (field by field)" agreement.rs 's/\*settle_delay_ms >= self\.settle_delay_ms/true/' \
    agreement every_field_of_the_terms_may_change_as_documented
mutate "a close pays the fee rate that was agreed" consumer/resuming.rs 's/fee_rate: agreed\.commitment_fee_rate\(\),/fee_rate: self.policy.fee_rate(terms, self.suggested_fee_rate),/' \
    agreement a_close_burns_what_was_agreed_and_not_what_later_terms_ask_of_commitments
mutate "a close burns a tenth at most" consumer/closing.rs 's/if fee > back\.checked_div\(CLOSING_FEE_PART\)\? \{/if false {/' \
    agreement a_close_never_burns_more_than_a_tenth_of_what_comes_back
mutate "the next channel is no worse than what was agreed" consumer/renewing.rs 's/\(Err\(what\), _\) if session\.continues\(&terms, Stage::Opened\)\.is_err\(\) =>/(Err(what), _) if false \&\& session.continues(\&terms, Stage::Opened).is_err() =>/' \
    agreement the_next_channel_is_taken_on_what_was_agreed_or_better_only
mutate "a dearer next opening is asked about" consumer/renewing.rs 's/let continued = open\.agreed\.continues/let continued = Agreement::of(\&open.terms).continues/' \
    agreement a_dearer_opening_of_the_next_channel_is_put_to_the_application
mutate "keys are wanted for a proposal only" consumer/resuming.rs 's/(if self\.past\.resumable\.is_empty\(\) \{)/out.push(Effect::FreshKeys);\n        $1/' \
    agreement keys_are_used_up_by_proposals_only
mutate "a restored record takes its figures up" consumer/resuming.rs 's/self\.balance > record\.paid \|\| !record\.has_figures\(\)/false/' \
    lasting a_channel_from_its_backup_goes_on_and_its_record_knows_again
mutate "an older copy takes its figures up" consumer/resuming.rs 's/self\.balance > record\.paid \|\| //' \
    lasting a_record_of_an_older_copy_goes_on
mutate "no more is believed consumed than was paid" consumer/resuming.rs 's/resumed\.consumed\.min\(most\)/resumed.consumed/' \
    lasting a_lie_to_one_that_knows_nothing_earns_no_more_than_a_window
mutate "a record that knows its figures is a count" consumer/resuming.rs 's/self\.balance > record\.paid \|\| !record\.has_figures\(\)/true/' \
    lasting one_that_knows_its_figures_believes_none_beyond_them
mutate "what is not signed spends nothing" spender.rs 's/Err\(_\) => Signature::Bad,\n\s*\},/Err(_) => Signature::Good,\n        },/' \
    spender what_is_not_signed_as_the_leaf_asks_spends_nothing

# Metering.
mutate "a meter keeps what a msat does not hold" meter.rs 's/self\.consumed = self\.counted\(to\);/self.consumed = Fine::new(self.counted(to).floor());/' \
    metering toggling_as_fast_as_the_message_limit_allows_saves_nothing
mutate "a meter keeps what a msat does not hold (any pieces)" meter.rs 's/self\.consumed = self\.counted\(to\);/self.consumed = Fine::new(self.counted(to).floor());/' \
    metering the_pieces_of_a_time_cost_what_the_whole_costs
mutate "each opening is charged a second (pausing)" provider/account.rs 's/now\.saturating_add\(LEAST_CHARGE\)/now/' \
    metering pausing_in_phase_with_the_pictures_costs_as_much_as_watching
mutate "each opening is charged a second (paying)" provider/account.rs 's/now\.saturating_add\(LEAST_CHARGE\)/now/' \
    metering paying_in_phase_with_the_pictures_costs_as_much_as_watching
mutate "who leaves has been charged its second" provider/account.rs 's/self\.meter\.charge_least\(now\);//' \
    metering a_picture_for_each_connection_costs_a_second_for_each
mutate "who goes on elsewhere has been charged its second" provider/resuming.rs 's/self\.booked = self\.account\.owed\(now\);//' \
    metering a_picture_for_each_connection_costs_a_second_for_each
mutate "no moment is charged twice" meter.rs 's/self\.since = self\.since\.max\(to\);//' \
    metering all_that_was_on_is_counted_to_the_msat_through_any_rates
mutate "a second is believed for each play" consumer/purse.rs 's/self\.begun = self\.rate\.cost\(LEAST_CHARGE\);//' \
    metering a_viewer_that_pauses_again_and_again_is_never_taken_for_lied_to
mutate "and no more than a second" consumer/purse.rs 's/self\.begun = self\.begun\.minus\(begun\);//' \
    metering a_play_that_brings_nothing_is_believed_for_a_second_and_no_more
mutate "what arrives in a pause counts nothing" consumer/paying.rs 's/until\.filter\(\|_\| self\.playing\)/until/' \
    metering what_arrives_while_the_viewer_is_paused_counts_nothing
mutate "who has credit is not without" provider/gating.rs 's/match flows \|\| self\.account\.has_credit\(now\) \{/match flows {/' \
    metering a_paused_viewer_with_credit_is_not_dropped_after_the_settle_delay
mutate "a pause has a time limit" provider/session.rs 's/since\.saturating_add\(PAUSE_TIMEOUT\)/since.saturating_add(Duration::MAX)/' \
    metering who_pauses_for_too_long_is_told_so_and_its_credit_waits_in_the_channel
mutate "the credit of who paused waits" provider/mod.rs 's/EndReason::Unconfirmed \| EndReason::Paused => Keep::UntilDeadline,/EndReason::Unconfirmed | EndReason::Paused => Keep::Due,/' \
    metering who_pauses_for_too_long_is_told_so_and_its_credit_waits_in_the_channel
mutate "the credit of who waits for a block waits" provider/mod.rs 's/EndReason::Unconfirmed \| EndReason::Paused => Keep::UntilDeadline,/EndReason::Unconfirmed | EndReason::Paused => Keep::Due,/' \
    metering who_has_paid_and_whose_commitment_does_not_confirm_keeps_what_is_left
mutate "nothing waits for credit that is used up" provider/session.rs 's/if used_up \|\| open\.status/if open.status/' \
    metering nothing_waits_for_who_has_used_up_what_it_paid
mutate "nothing waits for a commitment that is not known" provider/session.rs 's/ if used_up \|\| open\.status == CommitmentStatus::Missing =>/ if used_up =>/' \
    metering nothing_waits_for_a_commitment_that_is_not_known

# Third parties.
mutate "the provider signs all of a settlement" spend.rs 's/sighash\(tx, input, &Prevouts::All\(spent\), leaf, TapSighashType::Default\)/sighash(tx, input, \&Prevouts::All(spent), leaf, TapSighashType::SinglePlusAnyoneCanPay)/' \
    hostile an_observer_that_rewrites_a_settlement_breaks_the_providers_signature

printf '%s rules removed, %s of the removals noticed.\n' "$tried" "$((tried - bad))"
[[ $bad -eq 0 ]]
