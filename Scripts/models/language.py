"""Text models of the zoo: a BERT encoder, a GPT-2 decoder (both from `transformers`) and an LSTM."""

import torchvision_stub  # noqa: F401  (first: transformers looks for torchvision too)
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel


class Bert(nn.Module):
    """`input_ids`, `attention_mask` [N, T] int64 -> `logits` [N, classes]."""

    def __init__(self, **config):
        super().__init__()
        self.model = BertForSequenceClassification(BertConfig(attn_implementation="eager", **config))

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

    head = property(lambda self: self.model.classifier)


class GPT2(nn.Module):
    """`input_ids` [N, T] int64 -> `logits` [N, T, V]."""

    def __init__(self, **config):
        super().__init__()
        common = dict(use_cache=False, tie_word_embeddings=False, bos_token_id=0, eos_token_id=0)
        self.model = GPT2LMHeadModel(GPT2Config(**common, **config))

    def forward(self, input_ids):
        return self.model(input_ids=input_ids, use_cache=False).logits

    head = property(lambda self: self.model.lm_head)


class LSTMClassifier(nn.Module):
    """`input_ids` [N, T] int64 -> `logits` [N, classes]; two bidirectional layers, mean over time."""

    def __init__(self, vocabulary, width, hidden, classes):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.skip = nn.Linear(width, 2 * hidden)
        self.head = nn.Linear(2 * hidden, classes)

    def forward(self, input_ids):
        tokens = self.embedding(input_ids)
        sequence, _ = self.lstm(tokens)
        return self.head(torch.relu(sequence + self.skip(tokens)).mean(1))


def bert(full):
    if full:
        return Bert(num_labels=2)
    return Bert(
        vocab_size=64, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=24, num_labels=4)


def gpt2(full):
    if full:
        return GPT2()
    return GPT2(vocab_size=64, n_positions=24, n_embd=32, n_layer=3, n_head=4)


def lstm(full):
    return LSTMClassifier(30000, 300, 512, 2) if full else LSTMClassifier(64, 24, 20, 4)
