#include "trainer/recipes.h"

namespace neumf {

// The format is ParseRecipes()'s. A recipe gives every setting that differs
// from the defaults of TrainSettings. docs/quality.md has the measurements.
absl::string_view RecipeTexts() {
  return R"(

# As published: parity with the books, papers and posts.

recipe d2l-neumf
  about NeuMF as in "Dive into Deep Learning", chapter 21.6
  protocol d2l
  chosen as published
  reaches ml-100k: Hit@50 .348, AUC .881
  stage neumf
    model=neumf factors=10 hidden=10-10-10 biases=none
    loss=bpr reduction=sum sampler=pool negatives=1 batch_size=1024 epochs=10
    optimizer=adam learning_rate=0.01 weight_decay=1e-5 initialization=d2l

recipe d2l-neumf-hinge
  about d2l-neumf with the hinge loss of that book
  protocol d2l
  chosen as published
  reaches ml-100k: Hit@50 .346, AUC .879
  stage neumf
    model=neumf factors=10 hidden=10-10-10 biases=none
    loss=hinge reduction=sum sampler=pool negatives=1 batch_size=1024 epochs=10
    optimizer=adam learning_rate=0.01 weight_decay=1e-5 initialization=d2l

recipe d2l-mf
  about d2l-neumf without its tower
  protocol d2l
  chosen as published
  reaches ml-100k: Hit@50 .335, AUC .878
  stage gmf
    model=gmf factors=10 biases=none
    loss=bpr reduction=sum sampler=pool negatives=1 batch_size=1024 epochs=10
    optimizer=adam learning_rate=0.01 weight_decay=1e-5 initialization=d2l

recipe ncf-gmf8
  about GMF with 8 factors as in He et al. 2017
  protocol ncf
  chosen as published
  reaches not measured
  stage gmf
    model=gmf factors=8
    loss=bce sampler=reject negatives=4 batch_size=51 epochs=20
    optimizer=adam learning_rate=0.001 initialization=ncf

recipe ncf-mlp8
  about MLP with 8 factors, layers [64,32,16,8], as in He et al. 2017
  protocol ncf
  chosen as published
  reaches not measured
  stage mlp
    model=mlp tower_factors=32 hidden=32-16-8
    loss=bce sampler=reject negatives=4 batch_size=51 epochs=20
    optimizer=adam learning_rate=0.001 initialization=ncf

recipe ncf-neumf8
  about NeuMF with 8 factors, layers [64,32,16,8], from scratch, as in
  about He et al. 2017
  protocol ncf
  chosen as published
  reaches ncf-ml-1m: HR@10 .679, NDCG@10 .407
  stage neumf
    model=neumf factors=8 tower_factors=32 hidden=32-16-8
    loss=bce sampler=reject negatives=4 batch_size=51 epochs=20
    optimizer=adam learning_rate=0.001 initialization=ncf

recipe ncf-neumf64-pre
  about NeuMF with 64 factors, pretrained from GMF and MLP with alpha .5, then
  about plain SGD, as in He et al. 2017
  protocol ncf
  chosen as published
  reaches not measured; published .730 / .447
  stage gmf
    model=gmf factors=64
    loss=bce sampler=reject negatives=4 batch_size=205 epochs=10
    optimizer=adam learning_rate=0.001 initialization=ncf
  stage mlp
    model=mlp tower_factors=128 hidden=128-64
    loss=bce sampler=reject negatives=4 batch_size=205 epochs=10
    optimizer=adam learning_rate=0.001 initialization=ncf
  stage neumf
    model=neumf factors=64 tower_factors=128 hidden=128-64
    loss=bce sampler=reject negatives=4 batch_size=51 epochs=10
    optimizer=sgd learning_rate=0.001 initialization=ncf
    pretrained_gmf=@gmf pretrained_mlp=@mlp alpha=0.5

recipe blog-neumf8
  about NeuMF whose tower ends in a linear layer, as in a walk-through of NCF in
  about PyTorch
  protocol ncf
  chosen as published
  reaches not measured
  stage neumf
    model=neumf factors=8 tower_factors=8 hidden=64-32-16-8 linear_width=8
    loss=bce sampler=reject negatives=4 batch_size=51 epochs=20
    optimizer=adam learning_rate=0.001 initialization=torch

recipe triplet-bilinear
  about the bilinear triplet model of the m2dsupsdlclass notebook: cosine, margin
  protocol triplet
  chosen as published
  reaches ml-100k, ua: AUC .915
  stage bilinear
    model=bilinear-triplet factors=64
    loss=hinge margin=1 sampler=uniform negatives=1 batch_size=64 epochs=10
    optimizer=adam learning_rate=0.001 weight_decay=2e-6 initialization=keras

recipe triplet-deep
  about the deep triplet model of the m2dsupsdlclass notebook
  protocol triplet
  chosen as published
  reaches ml-100k, ua: AUC .922
  stage deep
    model=deep-triplet tower_factors=32/64 hidden=128 dropout=0.1
    loss=hinge margin=1 sampler=uniform negatives=1 batch_size=64 epochs=20
    optimizer=adam learning_rate=0.001 initialization=keras

recipe mf-logistic
  about logistic matrix factorization with 192 dimensions, one of them the
  about biases, as in Rendle et al. 2020
  protocol ncf
  chosen as published
  reaches not measured; published .729 / .452
  stage mf
    model=mf factors=191
    loss=bce sampler=uniform negatives=8 batch_size=1 epochs=256
    optimizer=sgd updates=rows learning_rate=0.018 l2=0.0006 l2_negative=0.0006
    initialization=normal embedding_scale=0.1

recipe ials-ml1m
  about iALS with 192 dimensions as in Rendle et al. 2022
  protocol ncf
  chosen .744 / .460, HR@10 / NDCG@10 on validation
  reaches ncf-ml-1m: HR@10 .729, NDCG@10 .453
  stage ials
    model=mf factors=192 biases=none loss=ials l2=0.007 negative_weight=0.3
    epochs=12 initialization=normal

# Ours: the multinomial likelihood of a user's items over the whole catalog.

recipe d2l-neumf-softmax
  about NeuMF without order
  protocol d2l
  chosen .440 / .899, Hit@50 / AUC on validation
  reaches ml-100k: Hit@50 .401, AUC .888
  stage neumf
    model=neumf factors=64 gmf_head=ones biases=item bias_start=popularity
    tower_factors=8 hidden=16-8 dropout=0.5
    loss=softmax batches=users batch_size=128 epochs=60
    optimizer=adam learning_rate=0.02 l2=0.1
    initialization=normal embedding_scale=0.05

recipe d2l-neumf-last-items
  about NeuMF whose users are their last 20 items too
  protocol d2l
  chosen .574 / .934, Hit@50 / AUC on validation
  reaches ml-100k: Hit@50 .550, AUC .919
  stage product
    model=mf factors=64 biases=item bias_start=popularity
    history=20 history_decay=5
    loss=softmax batches=events targets=10 target_decay=5 batch_size=512
    epochs=10 optimizer=adam updates=rows learning_rate=0.005 schedule=cosine
    l2=0.1 initialization=normal embedding_scale=0.05
  stage neumf
    model=neumf factors=64 gmf_head=ones biases=item
    history=20 history_decay=5
    tower_factors=16 hidden=32-16-8 dropout=0.3 pretrained_gmf=@product
    loss=softmax batches=pairs sampler=uniform negatives=50 batch_size=256
    epochs=1 optimizer=adam updates=rows learning_rate=0.001 schedule=cosine
    l2=0.1 initialization=normal embedding_scale=0.5

recipe ncf-gmf8-recent
  about GMF with 8 factors, a user's later items weighing more in the loss
  protocol ncf
  chosen .744 / .474, HR@10 / NDCG@10 on validation
  reaches ncf-ml-1m: HR@10 .712, NDCG@10 .454
  stage gmf
    model=gmf factors=8 gmf_head=ones biases=item bias_start=popularity
    loss=softmax batches=users recency=20 batch_size=64 epochs=40
    optimizer=adam learning_rate=0.05 schedule=cosine l2=0.01
    initialization=normal embedding_scale=0.05

recipe ncf-mlp8-recent
  about MLP with 8 factors, a user's later items weighing more in the loss
  protocol ncf
  chosen .722 / .458, HR@10 / NDCG@10 on validation
  reaches ncf-ml-1m: HR@10 .698, NDCG@10 .442
  stage mlp
    model=mlp tower_factors=32 hidden=32-16-8
    loss=softmax batches=users recency=20 batch_size=32 epochs=18
    optimizer=adam learning_rate=0.015 schedule=cosine l2=0.01
    initialization=normal embedding_scale=0.1

recipe ncf-neumf8-recent
  about NeuMF with 8 factors from scratch, a user's later items weighing more in
  about the loss
  protocol ncf
  chosen .735 / .470, HR@10 / NDCG@10 on validation
  reaches ncf-ml-1m: HR@10 .708, NDCG@10 .450
  stage neumf
    model=neumf factors=8 gmf_head=ones biases=item bias_start=popularity
    tower_factors=32 hidden=32-16-8
    loss=softmax batches=users recency=20 batch_size=64 epochs=12
    optimizer=adam learning_rate=0.02 schedule=cosine l2=0.01
    initialization=normal embedding_scale=0.05

recipe ncf-neumf64-ials
  about NeuMF with 64 factors, without order: the product begins as iALS left it,
  about the tower as nothing, and both go on with the loss of iALS
  protocol ncf
  chosen .743 / .453, HR@10 / NDCG@10 on validation
  reaches ncf-ml-1m: HR@10 .722, NDCG@10 .443
  stage product
    model=mf factors=64 biases=none loss=ials l2=0.007 negative_weight=0.3
    epochs=12 initialization=normal
  stage neumf
    model=neumf factors=64 gmf_head=ones biases=none pretrained_gmf=@product
    tower_factors=16 hidden=32-16-8 dropout=0.3
    loss=square negative_weight=0.3 batches=users batch_size=64 epochs=6
    optimizer=adam learning_rate=0.0005 schedule=cosine l2=0.05
    initialization=normal embedding_scale=0.05

recipe ncf-neumf-last-items
  about NeuMF whose users are their last 20 items too
  protocol ncf
  chosen .848 / .637, HR@10 / NDCG@10 on validation, before the tower
  reaches ncf-ml-1m: HR@10 .821, NDCG@10 .607
  stage product
    model=mf factors=64 biases=item bias_start=popularity
    history=20 history_decay=5
    loss=softmax batches=events batch_size=512 epochs=5
    optimizer=adam updates=rows learning_rate=0.003 schedule=cosine l2=0.05
    initialization=normal embedding_scale=0.05
  stage neumf
    model=neumf factors=64 gmf_head=ones biases=item
    history=20 history_decay=5
    tower_factors=16 hidden=32-16-8 dropout=0.3 pretrained_gmf=@product
    loss=softmax batches=pairs sampler=uniform negatives=50 batch_size=512
    epochs=1 optimizer=adam updates=rows learning_rate=0.0003 schedule=cosine
    l2=0.05 initialization=normal embedding_scale=0.05

recipe triplet-cosine
  about bilinear cosine without item bias
  protocol triplet
  chosen .939, AUC on validation
  reaches ml-100k, ua: AUC .941, P@10 .155; without rated items
  reaches AUC .948, MAP .242
  stage bilinear
    model=bilinear-triplet factors=128 temperature=0.2
    loss=softmax batches=users batch_size=128 epochs=60
    optimizer=adam learning_rate=0.02
    initialization=normal embedding_scale=0.05

recipe triplet-exposure
  about bilinear cosine of all that a user rated, high or low: for answers
  about without rated items, --drop_rated
  protocol triplet
  chosen .947 / .178, AUC / MAP on validation without rated items
  reaches ml-100k, ua, without rated items: AUC .952, MAP .243
  stage bilinear
    model=bilinear-triplet factors=128 temperature=0.2 low_ratings=positives
    loss=softmax batches=users batch_size=128 epochs=60
    optimizer=adam learning_rate=0.02
    initialization=normal embedding_scale=0.05

recipe triplet-tower
  about the deep triplet model, trained over the catalog
  protocol triplet
  chosen .930, AUC on validation
  reaches ml-100k, ua: AUC .935
  stage deep
    model=deep-triplet tower_factors=32/64 hidden=128 dropout=0.3
    biases=item bias_start=popularity
    loss=softmax batches=users batch_size=128 epochs=40
    optimizer=adam learning_rate=0.01 l2=0.1
    initialization=normal embedding_scale=0.05

# What one thing changes: each is measured against the same without it.

recipe triplet-mf
  about matrix factorization, for --model fm with features against it
  protocol triplet
  chosen .922 / .134, AUC / MAP on validation
  reaches ml-100k, ua: AUC .929, MAP .181
  stage mf
    model=mf factors=64 biases=item bias_start=popularity
    loss=softmax batches=users batch_size=128 epochs=60
    optimizer=adam learning_rate=0.02 l2=0.1
    initialization=normal embedding_scale=0.05

recipe triplet-bpr
  about BPR with 8 negatives, for --hard_negatives 2 against it
  protocol triplet
  chosen as for --hard_negatives 2, whose .929 / .143, AUC / MAP on
  chosen validation, was the best of six
  reaches ml-100k, ua: AUC .919, MAP .154
  stage mf
    model=mf factors=64 biases=item
    loss=bpr sampler=reject negatives=8 batch_size=64 epochs=8
    optimizer=adam updates=rows learning_rate=0.001 l2=0.02
    initialization=normal embedding_scale=0.05

recipe triplet-hinge
  about the hinge loss, for --loss warp --negatives 20 against it
  protocol triplet
  chosen as for WARP, which has .925 / .134, AUC / MAP on validation
  reaches ml-100k, ua: AUC .917, MAP .144
  stage mf
    model=mf factors=64 biases=item
    loss=hinge sampler=reject negatives=1 batch_size=64 epochs=10
    optimizer=adam updates=rows learning_rate=0.001 l2=0.05
    initialization=normal embedding_scale=0.05

recipe gowalla-ials
  about iALS with 192 dimensions
  protocol full
  chosen .181 / .105, Recall@20 / NDCG@20 on validation with 128 dimensions
  reaches gowalla: Recall@20 .171, NDCG@20 .143
  stage ials
    model=mf factors=192 biases=none loss=ials l2=0.004 negative_weight=0.01
    epochs=5 initialization=normal

)";
}

}  // namespace neumf
