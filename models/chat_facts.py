"""What the chat model is taught about Assay: questions, and one answer to each, in short and at length.

Every sentence here is a claim about the network and has to be one that DESIGN and LIMITS make. `FORMS` and `LONG_FORMS`
are combined with every term; which combinations training never sees is decided in `chat_text`. The questions under
`reworded` are never trained on: they measure whether a new wording is understood.
"""

FORMS = (
    "what is {}?", "what's {}?", "explain {}", "can you explain {}?", "tell me what {} is", "what does {} mean?",
    "define {}", "what do you mean by {}?", "i do not know what {} is", "what exactly is {}?", "please explain {} to me",
    "do you know what {} is?", "in short, what is {}?", "explain {} in one sentence", "give me a definition of {}",
    "could you tell me what {} is?", "so what is {}?", "i have never heard of {}, what is it?",
)
LONG_FORMS = (
    "tell me about {}", "tell me more about {}", "explain {} in detail", "write a paragraph about {}",
    "tell me everything about {}", "describe {} at length", "i want to know all about {}", "what can you tell me about {}?",
    "give me a long explanation of {}", "please tell me about {}",
)


class Topic:
    """One thing to know: its term (None if only whole questions ask for it), answers and questions."""

    def __init__(self, key, term, short, questions, reworded, long=None):
        self.key, self.term, self.short, self.long = key, term, short, long
        self.questions, self.reworded = questions, reworded


TOPICS = (
    Topic(
        "assay", "Assay",
        "Assay is a network for AI inference in which every answer carries evidence. Independent nodes run the "
        "models, and each answer comes with a receipt.",
        ["what is this network?", "what does Assay do?", "what is Assay for?", "why does Assay exist?",
         "what is the idea of Assay?", "what is special about Assay?", "what is this place?", "who runs the models here?"],
        ["what is the purpose of Assay?", "what kind of network is this?"],
        "Assay is a network for AI inference in which every answer carries evidence. Anyone can publish a model, "
        "independent nodes run it, and each answer comes with a receipt. The receipt says which weights, which "
        "input, which output and which node. Validators check receipts and put them into blocks. Assay answers two "
        "questions and never mixes them: was the computation what it claims to be, and is the answer any good? The "
        "first has signatures, replays, attestations and proofs. The second only has measurements.",
    ),
    Topic(
        "receipt", "a receipt",
        "A receipt is the signed statement that comes with an answer. It says which model, which input, which output "
        "and which node, and anyone can check it offline.",
        ["what is in a receipt?", "what does a receipt say?", "what is a receipt good for?", "why do i get a receipt?",
         "what does the receipt tell me?", "what do receipts contain?", "what are receipts?", "how does a receipt work?"],
        ["what information does a receipt hold?", "what is written in the receipt?"],
        "A receipt is the signed statement that comes with an answer. It binds the model, the input, the parameters, "
        "the output, the node and the times. The node signs it with its key, and its bond stands behind the "
        "signature. When the receipt is in a finalized block it is settled. You can check it with nothing but the "
        "file and the public key of the network. If one byte is changed, the check refuses it. What a receipt never "
        "says is that the answer is true or good.",
    ),
    Topic(
        "proof", "a proof",
        "A proof shows that the committed weights gave this output for this input. It does not say that the output "
        "is good.",
        ["what does a proof say?", "what does a proof show?", "how do proofs work?", "what are proofs good for?",
         "what is proven by a proof?", "what does it mean that an answer is proven?", "explain the proofs",
         "what does a zero-knowledge proof say?"],
        ["what exactly gets proven?", "what does the proof tell me?"],
        "A proof shows that the committed weights gave this output for this input, exactly. Anyone can check it "
        "without running the model and without seeing the weights, and every validator does so before it settles. A "
        "proof costs much more than the run itself, so only small models are proven. The proof says nothing about "
        "the quality of the model. A bad model gives bad answers, and a proof of a bad answer is still a valid proof.",
    ),
    Topic(
        "gateway", "a gateway",
        "A gateway is the entrance for applications. It speaks the API of OpenAI, chooses nodes, and checks each "
        "receipt.",
        ["what does a gateway do?", "what is the gateway for?", "why is there a gateway?", "how do applications connect?",
         "what do gateways do?", "who chooses the node?", "what does the gateway check?"],
        ["what job does a gateway have?", "which part do applications talk to?"],
        "A gateway is the entrance for applications. It speaks the API of OpenAI, so the usual clients work without "
        "a change. For each request it chooses a node by load, price and the evidence that was asked for. When a "
        "node fails in the middle of an answer, the gateway lets another node go on. It checks each receipt before "
        "it passes the end of the answer on. Any number of gateways can run side by side, and none of them needs to "
        "be trusted by the others.",
    ),
    Topic(
        "node", "a node",
        "A node is a machine that runs inference. It signs a receipt for each answer, and its bond stands behind "
        "the signature.",
        ["what does a node do?", "what are nodes?", "what is a node for?", "where does the model run?",
         "who computes the answers?", "what do the nodes do?", "which machine runs the model?"],
        ["what work does a node do?", "on which machine is my answer made?"],
        "A node is a machine that runs inference. Its operator registers it, puts up a bond and says which models it "
        "serves. The node tells the gateways how busy it is, and they send it requests. For each answer it signs a "
        "receipt. A node that signs two receipts under one number loses its bond. A node that falls silent is passed "
        "over. What a node earns depends on demand, on its price and on its costs.",
    ),
    Topic(
        "operator", "an operator",
        "An operator is the party that answers for one or more nodes and has stake.",
        ["who is an operator?", "what does an operator do?", "who is behind a node?", "who answers for a node?",
         "what are operators?", "who owns the nodes?"],
        ["who is responsible for a node?", "what role does an operator have?"],
    ),
    Topic(
        "validator", "a validator",
        "A validator is a machine that runs consensus. It checks receipts before they settle in a block.",
        ["what does a validator do?", "what are validators?", "who runs consensus?", "who checks the receipts?",
         "what is a validator for?", "who makes the blocks?", "what do validators check?"],
        ["what job does a validator have?", "which machines make blocks?"],
        "A validator is a machine that runs consensus. Validators agree on the order of blocks, and a block is final "
        "when a quorum of them has signed it. Before a receipt settles they check its form, its signature, its "
        "registration and its order. Proofs they check in full. As long as fewer than a third of the validators are "
        "faulty, the network is safe and goes on. If more are faulty it can stop, and past two thirds it can lie.",
    ),
    Topic(
        "evidence", "evidence",
        "Evidence is what supports the claim about a computation: a signature, a replay, an attestation or a proof.",
        ["what counts as evidence?", "which kinds of evidence are there?", "what evidence comes with an answer?",
         "what evidence do i get?", "what supports an answer?", "how is an answer supported?"],
        ["which evidence is there for an answer?", "what kinds of support can an answer have?"],
    ),
    Topic(
        "rungs", "the ladder of evidence",
        "The rungs are Signed, Replayed, Attested and Proven. A rung says what supports the computation, and none of "
        "them says that the answer is true.",
        ["what are the rungs?", "which rungs are there?", "name the rungs", "what is a rung?", "explain the rungs",
         "what does the rung of a receipt mean?", "which levels of evidence exist?", "how many rungs are there?"],
        ["what steps does the ladder have?", "which rungs does Assay have?"],
        "The ladder of evidence has four rungs. Signed means that the node says so, with its key and its bond. "
        "Replayed means that other operators ran it again and got the same bits. Attested means that sealed hardware "
        "signed what it runs. Proven means that a proof was checked by every validator. Each rung rests on somebody "
        "else, and the higher ones cost more. None of them says that the answer is true.",
    ),
    Topic(
        "signed", "the rung Signed",
        "Signed means that the node says so, with its key and its bond. It does not show that the right model ran.",
        ["what does Signed mean?", "what does it mean that a receipt is signed?", "who signs an answer?",
         "is a signature enough?", "what does the lowest rung say?"],
        ["what does a signed receipt show?", "what is the meaning of Signed?"],
    ),
    Topic(
        "replayed", "the rung Replayed",
        "Replayed means that nodes of other operators ran it again and got the same bits. One honest one among "
        "them is enough.",
        ["what does Replayed mean?", "what is a replay?", "how does a replay work?", "who runs it again?",
         "what does it mean that an answer is replayed?", "what is a replay good for?"],
        ["what does a replayed receipt show?", "what is the meaning of Replayed?"],
    ),
    Topic(
        "attested", "the rung Attested",
        "Attested means that sealed hardware signed what it runs. You trust its vendor, and nobody may tamper with "
        "the machine.",
        ["what does Attested mean?", "what is an attestation?", "what is a TEE?", "how does trusted hardware help?",
         "what does sealed hardware show?", "what does it mean that an answer is attested?"],
        ["what does an attested receipt show?", "what is the meaning of Attested?"],
    ),
    Topic(
        "proven", "the rung Proven",
        "Proven means that a proof of the computation was checked by every validator. It never says that the model "
        "is any good.",
        ["what does Proven mean?", "what is the highest rung?", "what does the highest rung say?",
         "what is the strongest evidence?", "which rung is the best?"],
        ["what does a proven receipt show?", "what is the meaning of Proven?"],
    ),
    Topic(
        "true", None,
        "No. Verified means that the computation was what the receipt says. Whether the answer is true is another "
        "question, with evidence of its own.",
        ["is a verified answer true?", "does verified mean true?", "is verified the same as true?",
         "if an answer is verified, is it true?", "does a receipt mean that the answer is true?",
         "does a proof make the answer true?", "can a proven answer be wrong?", "are verified answers always right?",
         "does a proof mean that you are right?", "is a proven answer correct?", "so verified means it is correct?",
         "can i trust a verified answer?", "is verified true?", "does proven mean true?", "are your answers true?",
         "is everything with a receipt true?"],
        ["when something is verified, is it right?", "does verification make an answer correct?"],
    ),
    Topic(
        "never", None,
        "A receipt never says that the answer is true or good. It says what was computed, by whom, and what "
        "supports that.",
        ["what does a receipt never say?", "what does a receipt not say?", "what does a receipt not prove?",
         "what is not in a receipt?", "what can a receipt not tell me?", "what does Assay never say?",
         "what is not proven?", "what are the limits of a receipt?"],
        ["which things does a receipt leave open?", "what will a receipt never tell me?"],
    ),
    Topic(
        "private", "private chat",
        "In private chat a relay knows who you are and the gateway knows what you ask. Nobody has both, as long as "
        "two parties run them.",
        ["is this chat private?", "who can see what i ask?", "who can read my questions?", "how does private chat work?",
         "can you see who i am?", "does anyone know what i ask?", "is my question secret?", "who sees my address?"],
        ["can someone read what i write?", "how private is this?"],
        "In private chat your question goes through a relay. The relay knows who you are, but it cannot read what "
        "you ask. The gateway reads what you ask, but it does not know who you are. Nobody has both, as long as two "
        "different parties run them. So look who runs the relay and who runs the gateway. And do not write your name "
        "into the question, because then the gateway knows it.",
    ),
    Topic(
        "earn", None,
        "It depends on demand, on the price and on your costs. Nobody can promise you an income, and hardware loses "
        "value even when no requests come.",
        ["what does a node earn?", "how much does a node earn?", "will a node make money?", "should i run a node?",
         "can i earn money with a node?", "is running a node worth it?", "how much money can i make with a node?",
         "what will my node earn?", "does a node pay off?", "how much can i earn?", "is it profitable to run a node?"],
        ["what income does a node bring?", "would a node make me rich?"],
    ),
    Topic(
        "hub", "a hub",
        "A hub keeps models. Several hubs of different operators keep them together, so that none of them can take "
        "a model away.",
        ["what does a hub do?", "what are hubs?", "where are the models kept?", "who stores the models?",
         "what is a hub for?", "can a model disappear?", "where do models come from?"],
        ["what job does a hub have?", "in which place are models stored?"],
        "A hub keeps models and data sets and speaks the API of Hugging Face, so its clients work with one. Several "
        "hubs of different operators keep the same content together. Each file is named by its digest, and who "
        "fetches it checks every byte. So no hub can change a model, and none of them can take one away. A hub may "
        "refuse to serve something, but it has to say so in public, with a reason.",
    ),
    Topic(
        "revision", "a revision",
        "A revision is one immutable version of a model. It is named by the digest of its manifest, so a changed "
        "byte gives another revision.",
        ["what are revisions?", "how is a version of a model named?", "can a model be changed?", "what is a model version?",
         "what happens when a model changes?", "can somebody alter a model?"],
        ["what happens to a revision when a byte changes?", "how does Assay name versions?"],
    ),
    Topic(
        "settlement", "settlement",
        "Settlement is the point at which a receipt is in a finalized block. After that nobody can take it back.",
        ["when is a receipt settled?", "what does settled mean?", "when is a receipt final?", "how does a receipt settle?",
         "what happens when a receipt settles?"],
        ["at which point is a receipt final?", "what is meant by settled?"],
    ),
    Topic(
        "failover", "failover",
        "When a node fails in the middle of an answer, another node goes on after the last word. You see a gap, but "
        "no word is lost and none comes twice.",
        ["what happens when a node dies?", "what happens if a node fails?", "what if a node stops in the middle?",
         "what happens when a node crashes?", "does my answer break when a node fails?", "what if the node goes away?",
         "how does failover work?"],
        ["what do i see when a node breaks down?", "will i lose words when a node dies?"],
    ),
    Topic(
        "bond", "a bond",
        "A bond is money that a node puts at stake. A node that signs two receipts under one number loses it.",
        ["what is a bond for?", "what does a node have at stake?", "how is a node punished?", "when does a node lose its bond?",
         "what happens to a node that cheats?", "what is slashing?", "what happens to a liar?"],
        ["what can a node lose?", "how do you punish a bad node?"],
    ),
    Topic(
        "determinism", "determinism",
        "The engine adds and multiplies in a fixed order, so the same model, prompt and seed give the same words "
        "again.",
        ["are answers repeatable?", "do i get the same answer twice?", "why are the bits the same everywhere?",
         "is the engine deterministic?", "does the same seed give the same answer?", "what does a seed do?"],
        ["will the same question give the same words?", "why can a run be repeated?"],
    ),
    Topic(
        "relay", "a relay",
        "A relay passes sealed questions on. It knows who you are, but it cannot read what you ask.",
        ["what does a relay do?", "what are relays?", "what is the relay for?", "what does the relay know?",
         "what can a relay see?"],
        ["what job does a relay have?", "which things does a relay know?"],
    ),
    Topic(
        "twin", "a twin",
        "A twin is a persona with memory. It remembers what you told it and answers in real time.",
        ["what are twins?", "what does a twin do?", "what is a persona?", "what does a twin remember?"],
        ["what job does a twin have?", "what can a twin remember?"],
    ),
    Topic(
        "reliability", "reliability",
        "Reliability is how good answers are: measured accuracy, calibration and a record of outcomes. It stands "
        "beside the receipt, never inside the proof.",
        ["how good are the answers?", "how do i know that an answer is good?", "how is quality measured?",
         "how accurate is a model?", "what says that an answer is any good?", "where do i see how good a model is?"],
        ["how can i judge the quality of an answer?", "what measures the quality of a model?"],
    ),
    Topic(
        "domain", "a failure domain",
        "A failure domain is what can fail together: an operator, a provider, a data centre, a country, a vendor "
        "or a software build.",
        ["what can fail together?", "what are failure domains?", "what could stop the network?",
         "how many failures stop the network?", "which things fail at once?"],
        ["what may break at the same time?", "what kinds of failure domains are there?"],
    ),
    Topic(
        "check", None,
        "Run assay receipt verify with the file of the receipt and the file of the network. It needs no connection.",
        ["how do i check a receipt?", "how can i verify a receipt?", "how do i verify an answer?",
         "can i check a receipt offline?", "which command checks a receipt?", "how do i verify it myself?",
         "what do i need to check a receipt?"],
        ["what must i type to check a receipt?", "how would i verify this receipt?"],
    ),
    Topic(
        "tamper", None,
        "Then the check refuses it. The signature is over every byte of the receipt.",
        ["what if someone changes a receipt?", "what happens if a receipt is changed?", "can a receipt be forged?",
         "what if one byte is flipped?", "can someone fake a receipt?", "what happens when a receipt is tampered with?"],
        ["what if a single byte of a receipt is wrong?", "could a receipt be altered?"],
    ),
    Topic(
        "client", None,
        "The usual client works: point the one of OpenAI at the address of a gateway, and nothing else has to change.",
        ["can i use the openai client?", "does the OpenAI client work?", "is the API compatible?", "can i use my usual client?",
         "do i have to change my program?", "does my application work with Assay?"],
        ["will my old client work?", "may i use the client that i have?"],
    ),
    Topic(
        "self", None,
        "I am a small chat model that was trained for Assay. I know a few things about Assay and little else.",
        ["what are you?", "are you a person?", "are you human?", "are you a language model?", "what kind of model are you?",
         "how big are you?", "are you an AI?", "who made you?"],
        ["are you a machine?", "what sort of thing are you?"],
    ),
    Topic(
        "can", None,
        "I can tell you about Assay, remember what you tell me, call tools that you give me, and answer as JSON.",
        ["what can you do?", "what are you good at?", "how can you help me?", "what can i ask you?", "what do you know?",
         "help", "what should i ask?", "can you help me?"],
        ["which things can you do?", "what could you do for me?"],
    ),
)

LISTS = (
    (("list the rungs", "make a list of the rungs", "list the four rungs of evidence", "give me the rungs as a list"),
     "1. Signed: the node says so, with its key and its bond.\n2. Replayed: other operators ran it again.\n3. "
     "Attested: sealed hardware signed what it runs.\n4. Proven: every validator checked a proof."),
    (("list the parts of the network", "which parts does the network have?", "list the roles in Assay",
      "make a list of the parts of Assay"),
     "1. Nodes run the models.\n2. Gateways take requests and choose nodes.\n3. Validators check receipts and make "
     "blocks.\n4. Hubs keep the models.\n5. Relays hide who asks.\n6. Operators answer for their nodes."),
    (("list five facts about Assay", "tell me five facts about Assay", "give me five facts about Assay"),
     "1. Every answer carries evidence.\n2. A receipt says which model, input, output and node.\n3. A receipt can be "
     "checked offline.\n4. When a node fails, another one goes on.\n5. Nothing here says that an answer is true."),
    (("list what a receipt binds", "what does a receipt bind, as a list?", "list the contents of a receipt"),
     "1. The model and its revision.\n2. The input and the parameters.\n3. The output.\n4. The node and its key.\n5. "
     "The times and the price.\n6. The rung that was promised."),
    (("list what a receipt never says", "give me a list of what is not proven", "list the limits of a receipt"),
     "1. That the answer is true.\n2. That the model is good.\n3. That the node is honest in everything else.\n4. "
     "When the answer reached you."),
    (("how do i start, step by step?", "give me the steps to ask a question", "list the steps of a request"),
     "1. Your application sends the question to a gateway.\n2. The gateway chooses a node.\n3. The node runs the "
     "model.\n4. The answer streams back.\n5. The node signs a receipt.\n6. Validators check it, and it settles."),
)

STORIES = (
    ("node", "{0} was a small node in a cold room. One night the power failed in the middle of an answer. {0} was sad, for "
     "half a sentence was still missing. But another node took over after the last word, and the reader saw only a "
     "short gap. In the morning the power came back. {0} looked at the receipt and saw two names on it. Since then "
     "{0} knows that nobody has to finish alone."),
    ("receipt", "{0} was a receipt with a clear signature. Many people asked whether {0} was true. I only know what was "
     "computed, said {0}, and by whom. One day a thief changed a single byte. The check refused it at once, and "
     "everybody saw why. {0} was written again, settled in a block, and slept well. True or not, said {0}, at least "
     "I am honest about what I know."),
    ("gateway", "{0} was a gateway at the edge of the town. All day long questions came in, and {0} sent each to a node "
     "that had time. One node was fast but never showed its work. {0} checked its receipt and found that it did not "
     "hold. So {0} asked somebody else, and the answer came a little later. Better late than unsigned, said {0}, and "
     "opened the gate again."),
    ("validator", "{0} was a validator who never hurried. Four of them sat around a table and looked at each receipt. When "
     "three of them agreed, a block was final. Once a loud voice said that everything was fine. {0} looked anyway "
     "and found two receipts under one number. The bond was lost, and the loud voice became quiet. {0} took the next "
     "receipt and went on."),
    ("hub", "{0} was a hub with many shelves. One evening a storm took the roof, and half of the models were gone. But two "
     "other hubs had kept pieces of them. They sent the pieces over, and {0} put them together again. Every byte was "
     "checked by its name. In the end nothing was missing, not even the smallest model. Together we forget nothing, "
     "said {0}."),
)
