/* SPDX-License-Identifier: BSD-3-Clause */

/*
 * request.pml -- movers ask a region to write memory back (fabric_request.c,
 * fabric_flush.c)
 *
 * Two movers repeatedly make their own data durable. There are only two slots,
 * so the movers often choose the same slot. A put writes word after word. Its
 * entry in the region's queue follows, even if the other mover has overwritten
 * part of the request meanwhile.
 *
 * Pieces:   mover(): mia_fabric_flush_post(), for each part of the request. The
 *           mover looks at the slot only when the slot can tell an outcome.
 *           region(): mia_fabric_request_serve(). A range is one mover's data.
 *           The check, one word, is a copy of the words that it covers.
 * Nonces:   each is used once, except with -DSAME_NONCE. The movers ask three
 *           times and twice, so that each run ends.
 * Checked:  - a mover that finds its request done has data that was written
 *             back after the mover wrote it.
 *           - no mover waits for ever.
 * Assumed:  sequential consistency. The memory orders are argued in the code.
 *           A get reads what the earlier puts have written.
 *
 * Each of these must be found wrong:
 *	-DNO_CHECK	the region serves a request that two movers have written
 *	-DANSWER_FIRST	the region answers before it writes back
 *	-DSAME_NONCE	a mover uses its nonce again
 *	-DASK_FIRST	a mover asks before its data have arrived
 *	-DNO_LOST	a mover does not notice that its slot was overwritten
 *	-DKEEP_BAD	the region leaves the nonce of a bad request in its slot
 */

#define MOVERS 2
#define SLOTS 2
#define ASKS 5

/* The slots. */
byte done[SLOTS];
byte nonce[SLOTS];
byte range[SLOTS]; /* the mover whose data it is; 0: none */
byte check_nonce[SLOTS];
byte check_range[SLOTS];

/* The region's queue: the numbers of slots. */
chan entries = [ASKS] of { byte };

/* Only for the assertion: the data of each mover are written back. */
bool durable[MOVERS + 1];

active [MOVERS] proctype mover()
{
	byte me = _pid + 1;
	byte asks = 3 - _pid; /* that are left */
	byte slot, mine;

	do
	:: asks == 0 -> break
	:: else ->
#ifndef ASK_FIRST
		durable[me] = false; /* new data */
#endif
again:		atomic {
			asks--;
#ifdef SAME_NONCE
			mine = me;
#else
			mine = me * 8 + asks;
#endif
			if
			:: slot = 0
			:: slot = 1
			fi
		}
		range[slot] = me;
		nonce[slot] = mine;
		d_step { check_range[slot] = me; check_nonce[slot] = mine };
		entries!slot;
#ifdef ASK_FIRST
		durable[me] = false;
#endif
		/* After a get that shows neither, the mover gets again. */
		if
		:: done[slot] == mine ->
			assert(durable[me])
#ifndef NO_LOST
		:: done[slot] != mine && nonce[slot] != mine ->
			if
			:: asks > 0 -> goto again
			:: else
			fi
#endif
		fi
	od
}

active proctype region()
{
	byte slot, n, r, cn, cr;

end:	do
	:: entries?slot ->
		n = nonce[slot];
		d_step { cn = check_nonce[slot]; cr = check_range[slot] };
		r = range[slot];
		if
#ifdef NO_CHECK
		:: n != 0 && r != 0 ->
#else
		:: n != 0 && n == cn && r == cr ->
#endif
			if
			:: done[slot] == n
			:: else ->
#ifdef ANSWER_FIRST
				done[slot] = n;
				durable[r] = true
#else
				durable[r] = true;
				done[slot] = n
#endif
			fi
		:: else ->
#ifndef KEEP_BAD
			nonce[slot] = 0
#else
			skip
#endif
		fi;
		d_step { slot = 0; n = 0; r = 0; cn = 0; cr = 0 }
	od
}
